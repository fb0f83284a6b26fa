//! The bindings that jl-sys brings, and ours beside them, against the headers of the Julia of this build, as the C
//! compiler reads them: the place of every field, the bits of every bit field, the size of every struct. jl-sys
//! does not read these headers itself (Cargo.toml says why), so this is what notices another layout.

#![allow(non_camel_case_types, reason = "the names are those of julia.h")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use jl_sys::*;
use nativecache_julia::julia_1_5::{Binding as jl_binding_t, Options as jl_options_t};

/// What both sides say, a line for each fact, and the C program that says it of the headers.
#[derive(Default)]
struct Facts {
    ours: String,
    program: String,
}

/// Size and places of fields; `ours = theirs` where a C name is a word of Rust.
macro_rules! layouts {
    ($facts:ident: $($name:ident { $($field:ident $(= $theirs:ident)?),* })*) => {$(
        $facts.size(stringify!($name), size_of::<$name>());
        $($facts.field(
            stringify!($name),
            layouts!(@name $field $($theirs)?),
            std::mem::offset_of!($name, $field),
        );)*
    )*};
    (@name $field:ident $theirs:ident) => { stringify!($theirs) };
    (@name $field:ident) => { stringify!($field) };
}

/// The bytes of a struct in which one bit field has all of its bits set.
macro_rules! bit_fields {
    ($facts:ident: $($name:ident { $($field:ident by $setter:ident),* })*) => {$($({
        // SAFETY: integers only.
        let mut value: $name = unsafe { std::mem::zeroed() };
        value.$setter(!0);
        // SAFETY: `value` was zeroed as a whole, so that each of its bytes is initialised.
        let bytes = unsafe {
            std::slice::from_raw_parts((&raw const value).cast::<u8>(), size_of::<$name>())
        };
        $facts.bits(stringify!($name), stringify!($field), bytes);
    })*)*};
}

impl Facts {
    fn size(&mut self, name: &str, size: usize) {
        writeln!(self.ours, "{name} {size}").unwrap();
        writeln!(self.program, r#"    printf("{name} %zu\n", sizeof({name}));"#).unwrap();
    }

    fn field(&mut self, name: &str, field: &str, offset: usize) {
        writeln!(self.ours, "{name}.{field} {offset}").unwrap();
        writeln!(self.program, r#"    printf("{name}.{field} %zu\n", offsetof({name}, {field}));"#).unwrap();
    }

    fn bits(&mut self, name: &str, field: &str, bytes: &[u8]) {
        write!(self.ours, "{name}.{field}").unwrap();
        bytes.iter().for_each(|byte| write!(self.ours, " {byte:02x}").unwrap());
        self.ours.push('\n');
        writeln!(
            self.program,
            r#"    {{ {name} v; memset(&v, 0, sizeof v); v.{field} = ~0; show("{name}.{field}", &v, sizeof v); }}"#
        )
        .unwrap();
    }

    /// What the headers say.
    fn theirs(&self) -> String {
        let prefix = PathBuf::from(std::env::var_os("JULIA_DIR").expect("deps/build.jl sets JULIA_DIR"));
        let folder = std::env::temp_dir().join(format!("nativecache-bindings-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (source, program) = (folder.join("layouts.c"), folder.join("layouts"));
        let text = format!(
            r#"#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <julia.h>
static void show(const char *name, const void *value, size_t size) {{
    printf("%s", name);
    for (size_t i = 0; i < size; i++) printf(" %02x", ((const unsigned char *)value)[i]);
    printf("\n");
}}
int main(void) {{
{}    return 0;
}}
"#,
            self.program
        );
        std::fs::write(&source, text).unwrap();
        // Nothing of libjulia is called: inline functions of the headers name symbols of it that need not be there.
        let compiled = Command::new("cc")
            .args(["-std=gnu11", "-w", "-Wl,--unresolved-symbols=ignore-all", "-I"])
            .arg(prefix.join("include").join("julia"))
            .arg("-o")
            .args([&program, &source])
            .output()
            .expect("cc");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let said = Command::new(&program).output().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(said.status.success());
        String::from_utf8(said.stdout).unwrap()
    }
}

#[test]
fn bindings_agree_with_the_headers() {
    let mut facts = Facts::default();
    layouts! { facts:
        htable_t { size, table }
        jl_mutex_t { owner, count }
        jl_tls_states_t {
            pgcstack, world_age, tid, rngseed, safepoint, sleep_check_state, gc_state, in_finalizer,
            disable_gc, heap, gc_num, sleep_lock, wake_signal, defer_signal, current_task,
            next_task, root_task, stackbase, stacksize, base_ctx, safe_restore, sig_exception,
            bt_data, bt_size, signal_request, io_wait, signal_stack, system_id, in_pure_callback,
            finalizers_inhibited, finalizers, gc_cache, sweep_objs, gc_mark_sp, previous_exception
        }
        jl_sym_t { left, right, hash }
        jl_svec_t { length }
        jl_array_flags_t {  }
        jl_array_t { data, length, flags, elsize, offset, nrows }
        jl_method_t {
            name, module, file, line, primary_world, deleted_world, sig, ambig, resorted,
            specializations, speckeyset, slot_syms, source, unspecialized, generator, roots,
            ccallable, invokes, nargs, called, nospecialize, nkw, isva, pure_ = pure, writelock
        }
        jl_method_instance_t { def, specTypes, sparam_vals, uninferred, backedges, cache, inInference }
        jl_code_instance_t {
            def, next, min_world, max_world, rettype, rettype_const, inferred, isspecsig, invoke,
            specptr
        }
        jl_tvar_t { name, lb, ub }
        jl_unionall_t { var, body }
        jl_typename_t { name, module, names, wrapper, cache, linearcache, hash, mt, partial }
        jl_uniontype_t { a, b }
        jl_fielddesc8_t { offset }
        jl_fielddesc16_t { offset }
        jl_fielddesc32_t { offset }
        jl_datatype_layout_t { nfields, npointers, first_ptr, alignment }
        jl_datatype_t {
            name, super_ = super, parameters, types, names, instance, layout, size, ninitialized,
            hash, abstract_ = abstract, mutabl, hasfreetypevars, isconcretetype, isdispatchtuple,
            isbitstype, zeroinit, isinlinealloc, has_concrete_subtype
        }
        jl_weakref_t { value }
        jl_module_t {
            name, parent, bindings, usings, build_id, uuid, primary_world, counter, nospecialize,
            optlevel, istopmod, lock
        }
        jl_typemap_entry_t {
            next, sig, simplesig, guardsigs, min_world, max_world, func, isleafsig, issimplesig, va
        }
        jl_typemap_level_t { arg1, targ, linear, any }
        jl_methtable_t { name, defs, cache, max_args, kwsorter, module, backedges, writelock, offs, frozen }
        jl_expr_t { head, args }
        jl_gcframe_t { nroots, prev }
        jl_handler_t {
            eh_ctx, gcstack, prev, gc_state, locks_len, defer_signal, finalizers_inhibited,
            timing_stack, world_age
        }
        jl_task_t {
            next, queue, tls, state, donenotify, result, exception, backtrace, logstate, start,
            sticky, ctx, stkbuf, bufsz, eh, gcstack, excstack, world_age, tid, prio, locks,
            timing_stack
        }
        jl_binding_t { name, value, globalref, owner }
        jl_options_t {
            quiet, banner, julia_bindir, julia_bin, cmds, image_file, cpu_target, nthreads, nprocs, machine_file,
            project, isinteractive, color, historyfile, startupfile, compile_enabled, code_coverage, malloc_log,
            opt_level, debug_level, check_bounds, depwarn, warn_overwrite, can_inline, polly, trace_compile, fast_math,
            worker, cookie, handle_signals, use_sysimage_native_code, use_compiled_modules, bindto, outputbc,
            outputunoptbc, outputo, outputasm, outputji, output_code_coverage, incremental, image_file_specified,
            warn_scope
        }
    }
    bit_fields! { facts:
        jl_array_flags_t {
            how by set_how, ndims by set_ndims, pooled by set_pooled, ptrarray by set_ptrarray,
            hasptr by set_hasptr, isshared by set_isshared, isaligned by set_isaligned
        }
        jl_fielddesc8_t { isptr by set_isptr, size by set_size }
        jl_fielddesc16_t { isptr by set_isptr, size by set_size }
        jl_fielddesc32_t { isptr by set_isptr, size by set_size }
        jl_datatype_layout_t { haspadding by set_haspadding, fielddesc_type by set_fielddesc_type }
    }
    let theirs = facts.theirs();
    assert!(theirs.lines().count() > 200, "{theirs}");
    let differ: Vec<_> =
        facts.ours.lines().zip(theirs.lines()).filter(|(ours, theirs)| ours != theirs).collect();
    assert!(differ.is_empty(), "the bindings and the headers disagree: {differ:#?}");
    assert_eq!(facts.ours, theirs);
}
