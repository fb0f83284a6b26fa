mod disassemble;
