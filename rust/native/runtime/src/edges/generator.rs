//! Bodies of generated functions: was the body compiled that Julia would generate now?
//!
//! A generator runs in the world in which its method was defined, and sees the methods of packages that were loaded
//! before it. Julia records no edges for what it calls. If the same packages were restored before it as at build, and
//! nothing was defined in between, it sees the same and returns the same. Otherwise it is run again, as Julia would
//! have to, and the bodies are compared.

use std::ops::{Range, RangeInclusive};

use nativecache_julia::code_digest::{add_code, Mix};
use nativecache_julia::handles::{make, MethodInstance, Module, Object, Symbol};
use nativecache_julia::origin::Origins;
use nativecache_julia::stopped::Stopped;

/// The uuid of the package NativeCache (Project.toml).
const NATIVECACHE: (u64, u64) = (0x1402_d8af_b1ee_4baf, 0xab8c_666e_41cd_db50);

/// Is this a method instance of a generated function whose generator another session could run in another world?
/// Generators of the sysimage only see the sysimage.
pub fn is_generated(instance: MethodInstance<'_>, sysimage: &Range<usize>) -> bool {
    instance
        .method()
        .is_some_and(|method| method.generator().is_some() && !sysimage.contains(&method.address()))
}

/// A digest of the packages that were restored before the package of this method instance. Only they may have used the
/// worlds from `first`, or else from that of the first package, to its own. `roots` are all root modules.
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
            // NativeCache is loaded in every session, before or after, and only extends functions for its own types.
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

/// Runs the generator. Returns the body, a `CodeInfo`, or `nothing` if it throws. Julia keeps such a body for the next
/// compilation (gf.c, `jl_code_for_staged`). It is dropped here: the session's own generator run happens when Julia needs it.
///
/// # Safety
/// It is safe to run the generator: no lock is held that it could need, and it does not change what is being looked at.
pub unsafe fn generated_body<'j>(julia: &'j Stopped, instance: MethodInstance<'j>) -> Option<Object<'j>> {
    let compiler: Module<'j> = Module::core(julia).constant(Symbol::new(julia, "Compiler"))?.as_kind()?;
    // `get_staged(mi)`: the CodeInfo, or nothing if the generator throws (base/compiler/utilities.jl).
    let get_staged = compiler.constant(Symbol::new(julia, "get_staged"))?;
    let had_code = instance.uninferred().is_some();
    // SAFETY: it runs the generator, as the caller allows.
    let code = unsafe { make::call(julia, get_staged, &[instance.object()]) };
    if !had_code {
        // SAFETY: the call stored it, and nobody has used it since.
        unsafe { instance.forget_uninferred() };
    }
    code
}

/// A digest of the body that the generator returns; `None` if it throws, or if the body has no digest.
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
