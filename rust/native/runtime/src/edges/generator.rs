//! Bodies of generated functions: is the one that was compiled the one that Julia would generate now?
//!
//! A generator runs in the world in which its method was defined, and sees the methods of packages that were
//! loaded before it; no edge says what it asked. If the same packages were restored before it as at build,
//! and nothing was defined between, it sees the same and gives the same. If not, it is run again, as Julia
//! would have to, and the bodies are compared.

use std::ops::RangeInclusive;

use jl_sys::{jl_method_instance_t, jl_method_t, jl_module_t};

use nativecache_julia::code_digest::{digest_code, Mix};
use nativecache_julia::inspect::constant;
use nativecache_julia::julia_1_5::jl_module_build_id;
use nativecache_julia::object::{is, root_module, symbol, Value};
use nativecache_julia::origin::Origins;

/// The uuid of the package NativeCache (Project.toml).
const NATIVECACHE: (u64, u64) = (0x1402_d8af_b1ee_4baf, 0xab8c_666e_41cd_db50);

/// Does a generator make the code of this method instance, one that another session could run in another
/// world? Those of the sysimage see the sysimage only.
///
/// # Safety
/// `mi` is live.
pub unsafe fn is_generated(mi: *mut jl_method_instance_t, sysimage: &std::ops::Range<usize>) -> bool {
    // SAFETY: `def` is read as what its tag says.
    unsafe {
        let def = (*mi).def.value;
        is(def, jl_sys::jl_method_type)
            && !(*def.cast::<jl_method_t>()).generator.is_null()
            && !sysimage.contains(&(def as usize))
    }
}

/// The packages that were restored before the one that this method belongs to, as a digest; the worlds from
/// the first of `defined` to its own must have been used by them alone.
///
/// # Safety
/// Everything is live; on a Julia thread, collector off. `roots` are all root modules.
pub unsafe fn seen_by(
    mi: *mut jl_method_instance_t,
    origins: &Origins,
    sysimage: &std::ops::Range<usize>,
    roots: &[*mut jl_module_t],
    first: Option<usize>,
) -> Option<u64> {
    // SAFETY: as the caller says.
    unsafe {
        let own = root_module((*(*mi).def.value.cast::<jl_method_t>()).module);
        let last = origins.restored_in(own)?;
        let mut before: Vec<(u64, u64, u64)> = Vec::new();
        let mut worlds: Vec<usize> = Vec::new();
        for root in roots.iter().filter(|root| !sysimage.contains(&(**root as usize))) {
            let world = origins.restored_in(*root)?;
            if world <= last {
                worlds.push(world);
                // NativeCache is there in every session, before or after, and extends functions for types of
                // its own only.
                if ((**root).uuid.hi, (**root).uuid.lo) == NATIVECACHE {
                    continue;
                }
                before.push(((**root).uuid.hi, (**root).uuid.lo, jl_module_build_id(*root)));
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
}

/// The body that the generator gives, a CodeInfo, or `nothing` if it throws. Julia keeps what a generator gave for
/// its next compilation (gf.c, `jl_code_for_staged`); the session's own is to run when Julia needs it, and not now.
///
/// # Safety
/// `mi` is a live instance of a generated method; on a Julia thread, collector off.
pub unsafe fn generated_body(mi: *mut jl_method_instance_t) -> Option<Value> {
    // SAFETY: jl_call1 catches; what is returned is live while the collector is off.
    unsafe {
        let compiler = constant(jl_sys::jl_core_module, symbol("Compiler"))?;
        // `get_staged(mi)`: the CodeInfo, or nothing if the generator throws (base/compiler/utilities.jl).
        let get_staged: Value = constant(compiler.cast(), symbol("get_staged"))?;
        let kept = (*mi).uninferred;
        let code = jl_sys::jl_call1(get_staged, mi.cast());
        if kept.is_null() {
            (*mi).uninferred = std::ptr::null_mut();
        }
        (!code.is_null()).then_some(code)
    }
}

/// The same as a digest; `None` if it throws, or gives what has none.
///
/// # Safety
/// As [`generated_body`].
pub unsafe fn body_digest(mi: *mut jl_method_instance_t) -> Option<u64> {
    let mut mix = Mix::new(0);
    // SAFETY: as the caller says.
    unsafe { digest_code(generated_body(mi)?, &mut mix)? };
    Some(mix.finish())
}
