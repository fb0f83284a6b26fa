//! Order, names and tables.

mod common;

use common::{finish, function, module, print, rewrite, Script};
use nativecache_codegen::{CodegenError, ExportedFunction};

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

    let text = &texts[0];
    assert!(!text.contains("dead"), "what nothing reaches is deleted: {text}");
    let first = function(text, "julia_first_0");
    assert!(first.contains("!dbg") && first.lines().count() > 4, "{first}");
    assert!(text.contains(r#"distinct !DISubprogram(name: "first""#), "{text}");
    assert!(text.contains(r#"noinline "thunk""#) || text.contains("noinline"), "{text}");
    assert!(
        text.contains("@nativecache_slots = alias [1 x i8*], [1 x i8*]* @nativecache_slots.real"),
        "{text}"
    );
    assert!(text.contains(
        "@nativecache_slots.real = internal externally_initialized global [1 x i8*] zeroinitializer"
    ));
    assert!(text.contains("@nativecache_build_id = constant [16 x i8]"), "{text}");
    assert!(text.contains("ptrtoint (i64 (i64)* @julia_first_0 to i64), i64 ptrtoint ([1 x i32]* @nativecache_functions to i64)"), "{text}");
    assert!(!text.contains("@j_") && !text.contains("@jsysw_other"), "{text}");
    assert!(!text.contains("nativecache_slot."), "no placeholder is left: {text}");
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
fn wrong_tables_and_wrong_order_are_refused() {
    let text = variants()[0].clone();
    let (mut module_, _, _) = rewrite(&text, &mut Script::slots(&[(3, 140_000_000_001_000)]));
    let value = module_.function("julia_first_12").expect("it is there");
    let error = module_.finish(&[ExportedFunction { value }], 3, [0; 16]).expect_err("slot 3 of 3");
    assert!(matches!(error, CodegenError::SlotOutOfRange { slot: 3, slots: 3 }), "{error}");
    let error = module_
        .finish(&[ExportedFunction { value }, ExportedFunction { value: std::ptr::null_mut() }], 4, [0; 16])
        .expect_err("null is no function");
    assert!(matches!(error, CodegenError::NotAFunction { index: 1 }), "{error}");
    assert!(matches!(module_.rewrite(&mut Script::default()), Err(CodegenError::Order { .. })));
    assert!(matches!(module_.isolate(&[]), Err(CodegenError::Order { .. })));
    module_.finish(&[ExportedFunction { value }], 4, [0; 16]).expect("it fits now");
    assert!(matches!(module_.finish(&[], 4, [0; 16]), Err(CodegenError::Order { .. })));

    let mut fresh = module(&text);
    let error = fresh.finish(&[], 0, [0; 16]).expect_err("it is not rewritten");
    assert_eq!(error.to_string(), "`finish` was called, but the module is not rewritten yet");
    // SAFETY: null is what is tested.
    let null = unsafe { nativecache_codegen::NativeModule::from_raw(std::ptr::null_mut()) };
    assert!(matches!(null, Err(CodegenError::NullModule)));
}

#[test]
fn isolated_functions_keep_their_body_alone() {
    let (mut module, _, _) = rewrite(&variants()[0], &mut Script::slots(&[(0, 140_000_000_001_000)]));
    finish(&mut module, &["julia_first_12"], 1);
    let error = module.isolate(&["nobody"]).expect_err("no such function");
    assert!(matches!(&error, CodegenError::UnknownFunction { name } if name == "nobody"), "{error}");
    module.isolate(&["julia_second_1"]).expect("it is there");
    module.verify().expect("valid");
    assert_eq!(module.function_names(), ["julia_second_1"]);
    let text = print(&module);
    let line = text.lines().find(|line| line.contains("i64 @julia_first_0(i64)"));
    assert!(line.is_some_and(|line| line.starts_with("declare ")), "{text}");
}
