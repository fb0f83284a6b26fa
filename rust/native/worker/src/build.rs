//! A build from method instances to a library file, in the steps that docs/how-it-works.md numbers.

use nativecache_image::append;
use nativecache_julia::kept::Kept;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_runtime::load::library::LibraryFile;

use crate::assemble::assemble;
use crate::compare::compare;
use crate::emission::emit;
use crate::error::BuildError;
use crate::infer::infer;
use crate::isolate::isolate_culprits;
use crate::journal::Journal;
use crate::linker::link;
use crate::parts;
use crate::request::{Mode, Request};
use crate::result::{self, StepTimes};
use crate::status::exclude;
use crate::world::World;

/// Builds the library that `request` asks for; `methods` is a `Vector{Any}` of method instances and `nothing`. What must
/// stay alive is added to it.
///
/// # Safety
/// In a process that does nothing else, on the one thread that runs Julia.
pub(crate) unsafe fn build(mut julia: Stopped, methods: Kept, request: &Request) -> Result<(), BuildError> {
    let mut times = StepTimes::start();
    let mut journal = Journal::open(&request.journal)?;
    let sysimage = Sysimage::current().ok_or(BuildError::NoSysimage)?;

    // 1. Infer.
    // SAFETY: as the caller says.
    let inferred = unsafe { infer(&mut julia, methods, request, &sysimage, &mut journal) }?;
    times.end("infer_seconds");
    let world = World::read(&julia, sysimage, request.start_world, &inferred.sources(&julia));
    let mut statuses = inferred.statuses(&julia);
    if request.mode == Mode::Isolate {
        return isolate_culprits(&world, statuses, request, &mut journal);
    }
    exclude(&world, &mut statuses, &request.excluded);

    // 2. Emit, and 3. rewrite.
    journal.note("emit");
    let emission = emit(&world, &mut statuses)?;
    times.end("emit_seconds");

    // 4. Describe, and 5. edges.
    let (module, tables) = assemble(emission, &world, &mut statuses, request)?;

    // 6. Split.
    let split = parts::split(module, &tables, request)?;
    times.end("describe_seconds");

    // 7. Optimise, object, link.
    journal.note("optimise");
    // SAFETY: as the caller says.
    let (objects, made) = unsafe { parts::compile(split, request, &mut journal) }?;
    times.end("compile_seconds");
    journal.note("link");
    let elf = request.workdir.join("code.so");
    link(&request.linker, &objects, &elf)?;

    // 8. Write.
    append(&elf, &tables.bytes, &request.output)?;
    // A linker may be anything: what no session could map must not take a good library's place.
    LibraryFile::open(&request.output)?.load()?;
    let differences = match &request.compare {
        Some(held) => compare(held, &request.output)?,
        None => Vec::new(),
    };
    times.end("link_seconds");
    result::write(&request.result, &tables, &differences, &times, made)?;
    journal.note("done");
    Ok(())
}
