//! Bodies of generated functions: is the one that was compiled the one that Julia would generate now?
//!
//! A generator runs in the world in which its method was defined, and sees the methods of packages that were
//! loaded before it; no edge says what it asked. If the same packages were restored before it as at build,
//! and nothing was defined between, it sees the same and gives the same. If not, it is run again, as Julia
//! would have to, and the bodies are compared.

use std::ops::{Range, RangeInclusive};

use nativecache_julia::code_digest::{add_code, Mix};
use nativecache_julia::handles::{make, MethodInstance, Module, Object, Symbol};
use nativecache_julia::origin::Origins;
use nativecache_julia::stopped::Stopped;

/// The uuid of the package NativeCache (Project.toml).
const NATIVECACHE: (u64, u64) = (0x1402_d8af_b1ee_4baf, 0xab8c_666e_41cd_db50);

/// Does a generator make the code of this method instance, one that another session could run in another
/// world? Those of the sysimage see the sysimage only.
pub fn is_generated(instance: MethodInstance<'_>, sysimage: &Range<usize>) -> bool {
    instance
        .method()
        .is_some_and(|method| method.generator().is_some() && !sysimage.contains(&method.address()))
}

/// The packages that were restored before the one that this method instance belongs to, as a digest; the worlds from
/// `first`, or else from that of the first package, to its own must have been used by them alone. `roots` are all root
/// modules.
pub fn seen_by(
    instance: MethodInstance<'_>,
    origins: &Origins,
    sysimage: &Range<usize>,
    roots: &[Module<'_>],
    first: Option<usize>,
) -> Option<u64> {
    let last = origins.world_of_image(instance.method()?.module().root())?;
    let mut before: Vec<(u64, u64, u64)> = Vec::new();
    let mut worlds: Vec<usize> = Vec::new();
    for root in roots.iter().filter(|root| !sysimage.contains(&root.address())) {
        let world = origins.world_of_image(*root)?;
        if world <= last {
            worlds.push(world);
            let (high, low) = root.uuid_words();
            // NativeCache is there in every session, before or after, and extends functions for types of
            // its own only.
            if (high, low) == NATIVECACHE {
                continue;
            }
            before.push((high, low, root.build_id()));
        }
    }
    let expected: RangeInclusive<usize> = first.or(worlds.iter().min().copied())?..=last;
    worlds.sort_unstable();
    if !expected.eq(worlds) {
        return None;
    }
    before.sort_unstable();
    let mut mix = Mix::new(before.len() as u64);
    for (high, low, build) in before {
        mix.add(high);
        mix.add(low);
        mix.add(build);
    }
    Some(mix.finish())
}

/// The body that the generator gives, a `CodeInfo`, or `nothing` if it throws. Julia keeps what a generator gave for
/// its next compilation (gf.c, `jl_code_for_staged`); the session's own is to run when Julia needs it, and not now.
///
/// # Safety
/// The generator may run whatever it runs: no lock is held that it could need, and what is being looked at it does not
/// change.
pub unsafe fn generated_body<'j>(julia: &'j Stopped, instance: MethodInstance<'j>) -> Option<Object<'j>> {
    let compiler: Module<'j> = Module::core(julia).constant(Symbol::new(julia, "Compiler"))?.as_kind()?;
    // `get_staged(mi)`: the CodeInfo, or nothing if the generator throws (base/compiler/utilities.jl).
    let get_staged = compiler.constant(Symbol::new(julia, "get_staged"))?;
    let had_code = instance.uninferred().is_some();
    // SAFETY: it runs the generator, which may run.
    let code = unsafe { make::call(julia, get_staged, &[instance.object()]) };
    if !had_code {
        // SAFETY: put there by the call, and nobody has asked for it since.
        unsafe { instance.forget_uninferred() };
    }
    code
}

/// A digest of the body that the generator gives; `None` if it throws, or gives what has none.
///
/// # Safety
/// The generator may run, as [`generated_body`] says.
pub unsafe fn body_digest<'j>(julia: &'j Stopped, instance: MethodInstance<'j>) -> Option<u64> {
    // SAFETY: the generator may run.
    let body = unsafe { generated_body(julia, instance) }?;
    let mut mix = Mix::new(0);
    add_code(body.as_kind()?, &mut mix)?;
    Some(mix.finish())
}
