//! Builtins: numbers never change, each names one symbol of libjulia.

use nativecache_image::Builtin;
use std::collections::HashSet;

#[test]
fn numbers_are_positions() {
    for (position, builtin) in (0..).zip(Builtin::ALL) {
        assert_eq!(builtin.number(), position);
        assert_eq!(Builtin::from_number(position), Some(*builtin));
    }
    let count = Builtin::ALL.len() as u32;
    assert!(count > 50);
    for number in [count, count + 1, u32::MAX] {
        assert_eq!(Builtin::from_number(number), None);
    }
}

#[test]
fn each_has_a_symbol_of_its_own() {
    let symbols: HashSet<&str> = Builtin::ALL.iter().map(|builtin| builtin.symbol()).collect();
    assert_eq!(symbols.len(), Builtin::ALL.len());
    assert!(symbols.iter().all(|symbol| symbol.starts_with("jl_")));
}

#[test]
fn numbers_that_stand_in_files_stay() {
    for (number, symbol) in [
        (0, "jl_nothing"),
        (1, "jl_true"),
        (2, "jl_false"),
        (3, "jl_emptysvec"),
        (4, "jl_emptytuple"),
        (5, "jl_any_type"),
        (6, "jl_bottom_type"),
        (40, "jl_int64_type"),
        (84, "jl_undefvarerror_type"),
        (100, "jl_intrinsic_type"),
    ] {
        assert_eq!(Builtin::from_number(number).map(Builtin::symbol), Some(symbol));
    }
}
