//! Loads from the slot table.
//!
//! The number of slots is not known while functions are rewritten. So each slot is a variable of its own, a
//! placeholder, until `finish` replaces it by an element of the table.

use std::collections::BTreeMap;

use inkwell::llvm_sys::LLVMTypeKind;

use crate::error::CodegenError;
use crate::llvm::{Builder, Cast, Instruction, Metadata, Module, Type, Value, Variable};
use crate::symbols;

/// Kinds and nodes of the metadata that loads from slots carry.
pub(crate) struct LoadMetadata<'m> {
    tbaa: u32,
    /// The access tag of memory that never changes.
    constant: Metadata<'m>,
    invariant_load: u32,
    nonnull: u32,
    empty: Metadata<'m>,
}

impl<'m> LoadMetadata<'m> {
    /// The access tag is the one that Julia's code generator gives to loads from its own constant globals. By the name
    /// `jtbaa_const`, its passes know that such a value is rooted for ever.
    pub(crate) fn new(module: &'m Module) -> Result<Self, CodegenError> {
        let zero = module.metadata_number(0)?;
        let root = module.metadata_node(&[module.metadata_string("jtbaa")?])?;
        let julia = module.metadata_node(&[module.metadata_string("jtbaa")?, root, zero])?;
        let scalar = module.metadata_node(&[module.metadata_string("jtbaa_const")?, julia, zero])?;
        Ok(Self {
            tbaa: module.metadata_kind("tbaa"),
            constant: module.metadata_node(&[scalar, scalar, zero, module.metadata_number(1)?])?,
            invariant_load: module.metadata_kind("invariant.load"),
            nonnull: module.metadata_kind("nonnull"),
            empty: module.metadata_node(&[])?,
        })
    }

    /// Marks a load: what it reads never changes and is rooted for ever.
    pub(crate) fn promise(&self, module: &Module, load: Instruction<'_>) {
        module.attach(load, self.tbaa, self.constant);
        self.promise_invariant(module, load);
    }

    /// Marks a load: what it reads never changes.
    pub(crate) fn promise_invariant(&self, module: &Module, load: Instruction<'_>) {
        module.attach(load, self.invariant_load, self.empty);
    }
}

/// The slots that the module uses so far.
pub(super) struct Slots<'m> {
    module: &'m Module,
    placeholders: BTreeMap<u32, Variable<'m>>,
    metadata: LoadMetadata<'m>,
}

impl<'m> Slots<'m> {
    pub(super) fn new(module: &'m Module) -> Result<Self, CodegenError> {
        Ok(Self { module, placeholders: BTreeMap::new(), metadata: LoadMetadata::new(module)? })
    }

    /// The placeholder of each slot.
    pub(super) fn into_placeholders(self) -> BTreeMap<u32, Variable<'m>> {
        self.placeholders
    }

    /// Loads what slot `slot` holds: an `i8*`.
    pub(super) fn load(&mut self, builder: &Builder<'m>, slot: u32) -> Result<Value<'m>, CodegenError> {
        let bytes = self.module.byte_pointer();
        let placeholder = match self.placeholders.get(&slot) {
            Some(&known) => known,
            None => {
                let made = self.module.add_variable(bytes, &symbols::placeholder(slot))?;
                self.placeholders.insert(slot, made);
                made
            }
        };
        let load = builder.load(bytes, **placeholder)?;
        self.metadata.promise(self.module, load);
        self.module.attach(load, self.metadata.nonnull, self.metadata.empty);
        Ok(*load)
    }
}

/// Casts the content of a slot, an `i8*`, to `ty`, a pointer or an integer.
pub(super) fn as_type<'m>(
    builder: &Builder<'m>,
    content: Value<'m>,
    ty: Type<'m>,
) -> Result<Value<'m>, CodegenError> {
    if ty.kind() == LLVMTypeKind::LLVMIntegerTypeKind {
        builder.cast(Cast::PTR_TO_INT, content, ty)
    } else {
        builder.pointer_cast(content, ty)
    }
}
