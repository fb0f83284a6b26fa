//! Order, names and tables.

use nativecache_codegen::{CodegenError, ExportedFunction};

use crate::common::{finish, print, rewrite, Script};

const FIRST: &str = r#"
define internal i64 @julia_first_12(i64) #0 !dbg !5 {
  %2 = call i64 @julia_second_15(i64 %0), !dbg !7
  %3 = load i64, i64* @0
  %4 = load i64*, i64** @ccall_name_40
  ret i64 %3
}"#;
const SECOND: &str = r#"
define internal i64 @julia_second_15(i64) {
  %2 = load i64, i64* @1
  %3 = load i64, i64* inttoptr (i64 140000000001000 to i64*)
  ret i64 %2
}"#;
const DEAD: &str = r#"
define internal void @julia_dead_13() {
  call void @julia_deader_14()
  call void @jl_throw(%jl_value_t addrspace(12)* addrspacecast (%jl_value_t* inttoptr (i64 140000000005000 to %jl_value_t*) to %jl_value_t addrspace(12)*))
  ret void
}
define internal void @julia_deader_14() {
  call void @julia_dead_13()
  ret void
}"#;
const REST: &str = r#"
attributes #0 = { noinline "thunk" }
!llvm.module.flags = !{!0, !1}
!llvm.dbg.cu = !{!2}
!0 = !{i32 2, !"Dwarf Version", i32 4}
!1 = !{i32 1, !"Debug Info Version", i32 3}
!2 = distinct !DICompileUnit(language: DW_LANG_Julia, file: !3, producer: "julia", isOptimized: true, runtimeVersion: 0, emissionKind: FullDebug, nameTableKind: GNU)
!3 = !DIFile(filename: "some.jl", directory: ".")
!4 = !DISubroutineType(types: !6)
!5 = distinct !DISubprogram(name: "first", linkageName: "julia_first_12", scope: null, file: !3, line: 3, type: !4, scopeLine: 3, spFlags: DISPFlagDefinition | DISPFlagOptimized, unit: !2, retainedNodes: !6)
!6 = !{}
!7 = !DILocation(line: 4, scope: !5)
"#;

/// The same content in two orders, with other numbers.
fn variants() -> [String; 2] {
    let globals = ["@0 = internal unnamed_addr constant i64 5", "@1 = internal unnamed_addr constant i64 6"];
    // Left of another module: not used, and in the way of a name.
    let left = "declare i64 @j_second_1(i64)\ndeclare void @jsysw_other_1()";
    let cache = "@ccall_name_40 = internal global i64* null";
    let one = format!("{}\n{}\n{cache}\n{left}\n{FIRST}{SECOND}{DEAD}{REST}", globals[0], globals[1]);
    let other = format!("{cache}\n{}\n{}\n{DEAD}{SECOND}{FIRST}{REST}", globals[0], globals[1])
        .replace("_12(", "_112(")
        .replace("_13(", "_113(")
        .replace("_14(", "_114(")
        .replace("_15(", "_115(")
        .replace("name_40", "name_90");
    [one, other]
}

/// What the text says of functions and variables, without the numbers of attributes and metadata.
fn definitions(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with(['!', ';']) && !line.starts_with("attributes"));
    let mut result = String::new();
    for line in lines {
        for (index, piece) in line.split(['!', '#']).enumerate() {
            result += if index == 0 { piece } else { piece.trim_start_matches(|c: char| c.is_ascii_digit()) };
        }
        result.push('\n');
    }
    result
}

#[test]
fn order_and_names_do_not_depend_on_the_process() {
    let texts: Vec<String> = variants()
        .iter()
        .zip(["julia_first_12", "julia_first_112"])
        .map(|(text, first)| {
            let (mut module, _, _) = rewrite(text, &mut Script::slots(&[(0, 140_000_000_001_000)]));
            let finished = finish(&mut module, &[first], 1);
            assert_eq!(finished.functions.len(), 2);
            assert_eq!(finished.functions[0].before, first);
            assert_eq!(finished.functions[0].after, "julia_first_0");
            assert_eq!(module.function_names(), ["julia_first_0", "julia_second_1"]);
            print(&module)
        })
        .collect();
    assert_eq!(definitions(&texts[0]), definitions(&texts[1]));

    // The debug information stays; what nothing reaches is gone, and so are placeholders and what was declared by names of
    // this process.
    assert!(texts[0].contains(r#"distinct !DISubprogram(name: "first""#), "{}", texts[0]);
    insta::assert_snapshot!(definitions(&texts[0]), @r#"
    source_filename = "nativecache"
    target datalayout = "e-m:e-i64:64-f80:128-n8:16:32:64-S128-ni:10:11:12:13"
    target triple = "x86_64-pc-linux-gnu"

    %jl_value_t = type opaque

    @nativecache_slots.real = internal externally_initialized global [1 x i8*] zeroinitializer
    @nativecache_functions = constant [1 x i32] [i32 trunc (i64 sub (i64 ptrtoint (i64 (i64)* @julia_first_0 to i64), i64 ptrtoint ([1 x i32]* @nativecache_functions to i64)) to i32)]
    @nativecache_build_id = constant [16 x i8] c"\07\07\07\07\07\07\07\07\07\07\07\07\07\07\07\07"
    @data_0 = internal unnamed_addr constant i64 6
    @data_1 = internal unnamed_addr constant i64 5
    @ccall_name_2 = internal global i64* null

    @nativecache_slots = alias [1 x i8*], [1 x i8*]* @nativecache_slots.real

    declare void @jl_error(i8*)

    declare void @jl_type_error(i8*, %jl_value_t addrspace(10)*, %jl_value_t addrspace(12)*)

    declare void ()* @jl_load_and_lookup(i8*, i8*, i8**)

    declare void @jl_throw(%jl_value_t addrspace(12)*)

    declare nonnull %jl_value_t addrspace(10)* @jl_apply_generic(%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32)

    declare nonnull %jl_value_t addrspace(10)* @jl_invoke(%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)** nocapture readonly, i32, %jl_value_t addrspace(10)*)

    declare %jl_value_t*** @julia.ptls_states()

    define internal i64 @julia_first_0(i64)  dbg  {
      %2 = call i64 @julia_second_1(i64 %0), dbg 
      %3 = load i64, i64* @data_1
      %4 = load i64*, i64** @ccall_name_2
      ret i64 %3
    }

    define internal i64 @julia_second_1(i64) {
      %2 = load i64, i64* @data_0
      %3 = load i8*, i8** getelementptr inbounds ([1 x i8*], [1 x i8*]* @nativecache_slots.real, i64 0, i64 0), tbaa , invariant.load , nonnull 
      %4 = bitcast i8* %3 to i64*
      %5 = load i64, i64* %4
      ret i64 %2
    }
    "#);
}

#[test]
fn the_same_function_may_be_exported_twice_and_tables_may_be_empty() {
    let (mut module, _, _) = rewrite(&variants()[0], &mut Script::slots(&[(0, 140_000_000_001_000)]));
    finish(&mut module, &["julia_second_15", "julia_second_15"], 4);
    assert!(print(&module).contains("@nativecache_functions = constant [2 x i32]"));

    let (mut module, _, _) = rewrite(&variants()[0], &mut Script::default());
    finish(&mut module, &[], 0);
    assert!(module.function_names().is_empty());
}

#[test]
fn an_address_is_never_exported() {
    let text = variants()[0].clone();
    let (mut module, found, _) = rewrite(&text, &mut Script::default());
    assert_eq!(found.closure("julia_first_12").unknown.len(), 1);
    let value = module.function("julia_first_12").expect("it is there");
    let error = module.finish(&[ExportedFunction { value }], 1, [0; 16]).expect_err("it reaches an address");
    assert!(
        matches!(&error, CodegenError::AddressLeft { function, address: 140_000_000_001_000 } if function == "julia_second_15"),
        "{error}"
    );
    assert!(error.to_string().contains("julia_second_15"), "{error}");
    // The module is as before.
    module.finish(&[], 0, [0; 16]).expect("nothing is exported");
}

#[test]
fn wrong_tables_are_refused() {
    let (mut module, _, _) = rewrite(&variants()[0], &mut Script::slots(&[(3, 140_000_000_001_000)]));
    let value = module.function("julia_first_12").expect("it is there");
    let error = module.finish(&[ExportedFunction { value }], 3, [0; 16]).expect_err("slot 3 of 3");
    assert!(matches!(error, CodegenError::SlotOutOfRange { slot: 3, slots: 3 }), "{error}");
    let null = ExportedFunction { value: std::ptr::null_mut() };
    let error =
        module.finish(&[ExportedFunction { value }, null], 4, [0; 16]).expect_err("null is no function");
    assert!(matches!(error, CodegenError::NotAFunction { index: 1 }), "{error}");
    module.finish(&[ExportedFunction { value }], 4, [0; 16]).expect("it fits now");
}
