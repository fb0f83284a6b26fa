//! Machine code as text.

use nativecache_codegen::Disassembler;

#[test]
fn instructions_up_to_one_that_is_none() {
    let disassembler = Disassembler::new().expect("LLVM knows this machine");
    // mov eax, 7; ret; and the first byte of another instruction
    let found = disassembler.instructions(&[0xb8, 7, 0, 0, 0, 0xc3, 0xb8], 0x1000);
    let found: Vec<_> = found.iter().map(|one| (one.address, one.length, one.text.as_str())).collect();
    assert_eq!(found, [(0x1000, 5, "movl\t$7, %eax"), (0x1005, 1, "retq")]);
    assert!(disassembler.instructions(&[], 0).is_empty());
}
