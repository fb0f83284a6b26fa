//! Loads from the slot table.
//!
//! How many slots there will be is not known while functions are rewritten, so each slot is a variable of its
//! own until `finish` puts the table in their place.

use std::collections::{BTreeMap, BTreeSet};

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::LLVMTypeKind;

use crate::addresses::SlotUse;
use crate::builder::Builder;
use crate::handle::Handle;
use crate::value::{Metadata, Type, Value};

/// Kinds and nodes of the metadata that loads from slots carry.
pub(crate) struct LoadMetadata {
    tbaa: u32,
    /// Memory that never changes.
    constant: Metadata,
    /// The same without that claim.
    mutable: Metadata,
    invariant_load: u32,
    nonnull: u32,
    dereferenceable: u32,
    empty: Metadata,
}

impl LoadMetadata {
    /// The access tags are those that Julia's code generator gives to loads from its own constant globals:
    /// its passes know such a value to be rooted for ever by the name `jtbaa_const`.
    pub(crate) fn new(handle: &Handle) -> Self {
        let zero = handle.metadata_number(0);
        let root = handle.metadata_node(&[handle.metadata_string("jtbaa")]);
        let julia = handle.metadata_node(&[handle.metadata_string("jtbaa"), root, zero]);
        let scalar = handle.metadata_node(&[handle.metadata_string("jtbaa_const"), julia, zero]);
        Self {
            tbaa: handle.metadata_kind("tbaa"),
            constant: handle.metadata_node(&[scalar, scalar, zero, handle.metadata_number(1)]),
            mutable: handle.metadata_node(&[scalar, scalar, zero]),
            invariant_load: handle.metadata_kind("invariant.load"),
            nonnull: handle.metadata_kind("nonnull"),
            dereferenceable: handle.metadata_kind("dereferenceable"),
            empty: handle.metadata_node(&[]),
        }
    }

    /// Says of a load that what it reads never changes and is rooted for ever.
    pub(crate) fn promise(&self, handle: &Handle, load: Value) {
        handle.attach(load, self.tbaa, self.constant);
        handle.attach(load, self.invariant_load, self.empty);
    }
}

/// The slots that the module uses so far.
pub(crate) struct Slots {
    placeholders: BTreeMap<u32, Value>,
    /// Those whose content may change while code runs.
    mutable: BTreeSet<u32>,
    metadata: LoadMetadata,
}

impl Slots {
    pub(crate) fn new(handle: &Handle) -> Self {
        Self { placeholders: BTreeMap::new(), mutable: BTreeSet::new(), metadata: LoadMetadata::new(handle) }
    }

    /// What each slot is called until `finish`, and the slots that may change.
    pub(crate) fn into_parts(self) -> (BTreeMap<u32, Value>, BTreeSet<u32>) {
        (self.placeholders, self.mutable)
    }

    /// Loads what slot `slot.index` holds: an `i8*`.
    pub(crate) fn load(&mut self, handle: &Handle, builder: &Builder, slot: SlotUse) -> Value {
        let bytes = handle.byte_pointer();
        let placeholder = *self
            .placeholders
            .entry(slot.index)
            .or_insert_with(|| handle.add_global(bytes, &format!("nativecache_slot.{}", slot.index)));
        let load = builder.load(bytes, placeholder);
        let metadata = &self.metadata;
        if slot.invariant {
            metadata.promise(handle, load);
        } else {
            handle.attach(load, metadata.tbaa, metadata.mutable);
            self.mutable.insert(slot.index);
        }
        if slot.nonnull {
            handle.attach(load, metadata.nonnull, metadata.empty);
            if slot.dereferenceable > 0 {
                let size = handle.metadata_node(&[handle.metadata_number(slot.dereferenceable)]);
                handle.attach(load, metadata.dereferenceable, size);
            }
        }
        load
    }
}

/// The content of a slot, loaded as `content`, as what the code expects: `ty` is a pointer or an integer.
pub(crate) fn as_type(handle: &Handle, builder: &Builder, content: Value, addend: i64, ty: Type) -> Value {
    let address = if addend == 0 {
        content
    } else {
        // In bounds: the address that stood here was inside of the object, and so is the sum.
        builder.gep(content, &[handle.word().int(addend as u64)], true)
    };
    if ty.kind() == LLVMTypeKind::LLVMIntegerTypeKind {
        builder.cast(LLVMBuildPtrToInt, address, ty)
    } else {
        builder.pointer_cast(address, ty)
    }
}
