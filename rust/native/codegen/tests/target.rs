//! The machine that a session compiles for.

use nativecache_codegen::{CodegenError, OptLevel, Target};

#[test]
fn the_target_of_a_session() {
    let host = Target::host(OptLevel::O2);
    assert_eq!(Target::of_session("native", OptLevel::O2), host);
    assert!(host.features.contains("+sse2"), "{host:?}");
    let generic = Target::of_session("generic;haswell,clone_all", OptLevel::O1);
    assert_eq!((generic.cpu.as_str(), generic.level), ("x86-64", OptLevel::O1));
    assert!(generic.features.split(',').all(|feature| feature.starts_with('-')), "{generic:?}");
    let named = Target::of_session("haswell,-avx2,+fma,-clone_all,base(0)", OptLevel::O2);
    assert_eq!(named.cpu, "haswell");
    assert!(named.features.ends_with(",-avx2,+fma"), "{named:?}");
    let native = Target::of_session("native,-avx512f", OptLevel::O2);
    assert_eq!((native.cpu, native.features), (host.cpu, format!("{},-avx512f", host.features)));
}

#[test]
fn levels_of_julia() {
    assert!(OptLevel::try_from(2).is_ok_and(|level| level == OptLevel::O2));
    assert!(matches!(OptLevel::try_from(4), Err(CodegenError::Level(4))));
}
