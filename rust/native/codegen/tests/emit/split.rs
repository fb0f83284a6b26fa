//! A library in parts: each says all that its object depends on, and together they are what one object would be.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nativecache_codegen::{
    symbol, CodegenError, ExportedFunction, NativeModule, OptLevel, Part, StableNames, Target,
};

use crate::common::{rewrite, Script};

const ONE: u64 = 140_000_000_001_000;
const OTHER: u64 = 140_000_000_002_000;

/// Functions of which each adds what a slot points to, what another slot points to, its number in a table, and what
/// the next returns. `number` is where Julia's counter stands.
fn chain(keys: &[u32], number: usize) -> String {
    let mut text = String::from("@table = internal unnamed_addr constant [2 x i64] [i64 1, i64 100]\n");
    text.push_str("@count = internal global i64 0\n");
    for (place, key) in keys.iter().enumerate() {
        let id = number + place;
        let next = keys.get(place + 1).map_or("add i64 0, 0".to_owned(), |next| {
            format!("call i64 @julia_f{next}_{}(i64 %x), !dbg !{}", number + place + 1, 2000 + place)
        });
        write!(
            text,
            r"
define internal i64 @julia_f{key}_{id}(i64 %x) !dbg !{debug} {{
  %a = load i64, i64* inttoptr (i64 {ONE} to i64*)
  %b = load i64, i64* inttoptr (i64 {OTHER} to i64*)
  %c = load i64, i64* getelementptr inbounds ([2 x i64], [2 x i64]* @table, i64 0, i64 {half})
  %d = {next}
  %n = load i64, i64* @count
  %m = add i64 %n, 1
  store i64 %m, i64* @count
  %e = add i64 %a, %b
  %f = add i64 %c, %d
  %g = add i64 %e, %f
  ret i64 %g
}}",
            debug = 100 + place,
            half = key % 2,
        )
        .expect("a String grows");
    }
    text.push_str(
        r#"
!llvm.module.flags = !{!0, !1}
!0 = !{i32 2, !"Dwarf Version", i32 4}
!1 = !{i32 1, !"Debug Info Version", i32 3}
!2 = !DIFile(filename: "some.jl", directory: ".")
!3 = !DISubroutineType(types: !4)
!4 = !{}
"#,
    );
    let units: Vec<String> = (0..keys.len()).map(|place| format!("!{}", 1000 + place)).collect();
    writeln!(text, "!llvm.dbg.cu = !{{{}}}", units.join(", ")).expect("a String grows");
    for (place, key) in keys.iter().enumerate() {
        writeln!(
            text,
            r#"!{unit} = distinct !DICompileUnit(language: DW_LANG_Julia, file: !2, producer: "julia", isOptimized: true, runtimeVersion: 0, emissionKind: FullDebug)
!{own} = distinct !DISubprogram(name: "f{key}", linkageName: "julia_f{key}_{id}", scope: null, file: !2, line: {key}, type: !3, spFlags: DISPFlagDefinition | DISPFlagOptimized, unit: !{unit}, retainedNodes: !4)
!{line} = !DILocation(line: {key}, scope: !{own})"#,
            line = 2000 + place,
            unit = 1000 + place,
            own = 100 + place,
            id = number + place,
        )
        .expect("a String grows");
    }
    text
}

/// The tables, and the parts of a chain; `slots` are the numbers of the two slots.
fn split(keys: &[u32], number: usize, slots: [u32; 2]) -> (NativeModule, Vec<Part>) {
    let mut script = Script::slots(&[(slots[0], ONE), (slots[1], OTHER)]);
    let (mut module, _, _) = rewrite(&chain(keys, number), &mut script);
    let named = |place: usize, key: &u32| format!("julia_f{key}_{}", number + place);
    let functions: HashMap<String, String> =
        keys.iter().enumerate().map(|(place, key)| (named(place, key), format!("function {key}"))).collect();
    let mut texts = vec!["nothing".to_owned(); 5];
    texts[slots[0] as usize] = "one".to_owned();
    texts[slots[1] as usize] = "other".to_owned();
    let value = module.function(&named(0, &keys[0])).expect("it is defined");
    let exported = [ExportedFunction { value }];
    let parts = module.finish_in_parts(&exported, 5, [7; 16], &StableNames { slots: texts, functions });
    let parts = parts.expect("a module that can be split");
    module.verify().expect("the tables are valid");
    (module, parts)
}

fn texts(parts: &[Part]) -> Vec<String> {
    parts.iter().map(|part| String::from_utf8(part.text()).expect("IR is text")).collect()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("nativecache-parts-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    folder
}

/// Links tables and parts.
fn library(folder: &Path, (mut module, parts): (NativeModule, Vec<Part>)) -> PathBuf {
    let target = Target::host(OptLevel::O2);
    let mut files = vec![folder.join("tables.o")];
    module.emit_object(&target, &files[0]).expect("object of the tables");
    for (number, part) in parts.into_iter().enumerate() {
        let file = folder.join(format!("part{number}.o"));
        part.write(&target, &file).expect("object of a part");
        files.push(file);
    }
    let library = folder.join("x.so");
    let linked = Command::new("cc")
        .args(["-shared", "-nostdlib", "-Wl,-Bsymbolic", "-Wl,--no-undefined", "-Wl,--build-id=none", "-o"])
        .arg(&library)
        .args(&files)
        .status();
    assert!(linked.expect("a C compiler").success());
    library
}

extern "C" {
    fn dlopen(path: *const core::ffi::c_char, mode: core::ffi::c_int) -> *mut core::ffi::c_void;
    fn dlsym(library: *mut core::ffi::c_void, name: *const core::ffi::c_char) -> *mut core::ffi::c_void;
}

#[test]
fn parts_are_linked_to_one_library_that_runs() {
    let folder = folder("run");
    let keys: Vec<u32> = (0..200).collect();
    let split = split(&keys, 10, [3, 1]);
    assert!(split.1.len() > 3, "{} parts", split.1.len());
    assert!(split.1.iter().all(|part| part.functions().len() <= 64));
    assert_eq!(split.1.iter().map(|part| part.functions().len()).sum::<usize>(), keys.len());
    let path = library(&folder, split);
    let text = std::ffi::CString::new(path.to_str().expect("a plain path")).expect("no null in it");
    let data = [5_u64, 21];
    // SAFETY: the library was just made; its tables have the types that `symbol` states, and its function that of
    // `chain`. `data` outlives the call.
    unsafe {
        let library = dlopen(text.as_ptr(), 2);
        assert!(!library.is_null());
        let find = |name: &str| {
            let name = std::ffi::CString::new(name).expect("no null in it");
            dlsym(library, name.as_ptr())
        };
        let slots = find(symbol::SLOTS).cast::<u64>();
        slots.add(3).write(data.as_ptr() as u64);
        slots.add(1).write(data.as_ptr().add(1) as u64);
        let functions = find(symbol::FUNCTIONS).cast::<i32>();
        let entry = functions.cast::<u8>().offset(functions.read() as isize);
        let first: extern "C" fn(u64) -> u64 = std::mem::transmute(entry);
        assert_eq!(first(0), 200 * (5 + 21) + 100 * (1 + 100));
        // Nothing but what the loader needs can be seen from outside.
        assert!(find("nativecache_tls_offset").is_null());
        assert!(!find(symbol::TLS_OFFSET).is_null());
    }
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn a_part_does_not_depend_on_what_else_there_is() {
    let keys: Vec<u32> = (0..200).collect();
    let before = texts(&split(&keys, 10, [3, 1]).1);
    // Another place of the counter, other numbers of slots: the same texts.
    assert_eq!(before, texts(&split(&keys, 4711, [0, 4]).1));
    // One function more: its part and the one that calls it.
    let mut more = keys.clone();
    more.insert(100, 1000);
    let after = texts(&split(&more, 10, [3, 1]).1);
    let changed = after.iter().filter(|text| !before.contains(text)).count();
    assert!((1..=3).contains(&changed), "{changed} of {} parts changed", after.len());
}

#[test]
fn a_part_says_what_its_object_depends_on() {
    let keys: Vec<u32> = (0..40).collect();
    let base = texts(&split(&keys, 10, [3, 1]).1);
    // What a slot holds is in its name; its number is not.
    let all = base.concat();
    assert!(all.contains("@slot.") && !all.contains("nativecache_slot"), "{all}");
    assert!(!all.contains("linkageName: \"julia_f0_1"), "{all}");
    // Another line of debug information is another text.
    let other = texts(&split(&(1..41).collect::<Vec<u32>>(), 10, [3, 1]).1);
    assert_ne!(base, other);
}

#[test]
fn two_libraries_of_the_same_parts_are_equal() {
    let folders = [folder("one"), folder("two")];
    let keys: Vec<u32> = (0..60).collect();
    let one = std::fs::read(library(&folders[0], split(&keys, 10, [3, 1]))).expect("it was just linked");
    let two = std::fs::read(library(&folders[1], split(&keys, 99, [3, 1]))).expect("it was just linked");
    assert!(one == two);
    folders.into_iter().for_each(|folder| std::fs::remove_dir_all(folder).expect("it is ours"));
}

#[test]
fn assembly_of_the_module_is_refused() {
    let text = "module asm \".globl x\"\ndefine internal i64 @julia_f_1(i64 %x) {\n  ret i64 %x\n}\n";
    let (mut module, _, _) = rewrite(text, &mut Script::default());
    let value = module.function("julia_f_1").expect("it is defined");
    let refused = module.finish_in_parts(&[ExportedFunction { value }], 0, [7; 16], &StableNames::default());
    assert!(matches!(refused, Err(CodegenError::Unsplittable { .. })), "{refused:?}");
}
