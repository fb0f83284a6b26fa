//! Where the fields of Julia's objects lie, as the running Julia says.
//!
//! src/companion/layout.jl sends `fieldoffset` of each field named here, so that no layout of a Julia version
//! is written down in Rust. A field that this Julia lacks has no offset, and who needs it says what follows.

use std::sync::OnceLock;

use jl_sys::types::{jl_datatype_t, jl_value_t};

use crate::error::TraceError;

/// Stands for a field that this Julia does not have.
const ABSENT: u32 = u32::MAX;

/// The fields in the order in which Julia sends their offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Field {
    MethodName,
    MethodModule,
    MethodSpecializations,
    InstanceSpecTypes,
    InstanceCache,
    CodeNext,
    CodeInvoke,
    CodeFlags,
    CodePrecompile,
    EntryNext,
    EntryFunc,
    LevelArg1,
    LevelTarg,
    LevelName1,
    LevelTname,
    LevelList,
    LevelAny,
    TypeNameTable,
    TableDefs,
    /// Not a field: how many there are.
    Count,
}

/// The types that are told apart, in the order in which Julia sends them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Kind {
    Method,
    MethodInstance,
    CodeInstance,
    MethodTable,
    TypeMapEntry,
    TypeMapLevel,
    /// `Vector{Any}` on 1.10, `Memory{Any}` later: what typemaps keep their parts in.
    TypeMapArray,
    Vararg,
    /// Not a type: how many there are.
    Count,
}

/// What Julia has sent.
pub(crate) struct Layout {
    offsets: [u32; Field::Count as usize],
    /// Addresses of types of the sysimage, which live for ever and never move.
    types: [usize; Kind::Count as usize],
    /// Whether parts of typemaps are of type `Memory`: length, then pointer.
    pub(crate) memory: bool,
    /// The one method table of Julia 1.12 and later, or 0.
    pub(crate) table: usize,
    /// `jl_fptr_const_return`, which is no code of anybody's.
    pub(crate) constant_return: usize,
    /// `jl_fptr_interpret_call`: nothing was compiled.
    pub(crate) interpreted: usize,
}

static LAYOUT: OnceLock<Layout> = OnceLock::new();

impl Layout {
    /// The layout of the running Julia.
    ///
    /// # Errors
    /// If Julia has not sent it.
    pub(crate) fn get() -> Result<&'static Layout, TraceError> {
        LAYOUT.get().ok_or(TraceError::NotStarted)
    }

    /// Keeps what Julia has sent; a second time changes nothing.
    ///
    /// # Errors
    /// If it is of another version of this crate.
    pub(crate) fn set(
        offsets: &[u32],
        types: &[*mut jl_datatype_t],
        words: [usize; 3],
        memory: bool,
    ) -> Result<(), TraceError> {
        let mismatch = || TraceError::Layout { offsets: offsets.len(), types: types.len() };
        let layout = Layout {
            offsets: offsets.try_into().map_err(|_| mismatch())?,
            types: std::array::from_fn(|i| types.get(i).map_or(0, |ty| *ty as usize)),
            memory,
            table: words[0],
            constant_return: words[1],
            interpreted: words[2],
        };
        if types.len() != Kind::Count as usize || layout.types.contains(&0) {
            return Err(mismatch());
        }
        let _ = LAYOUT.set(layout);
        Ok(())
    }

    /// The offset of a field; `None` if this Julia lacks it.
    pub(crate) fn offset(&self, field: Field) -> Option<usize> {
        let offset = *self.offsets.get(field as usize)?;
        (offset != ABSENT).then_some(offset as usize)
    }

    /// Is this the type?
    pub(crate) fn is(&self, ty: *mut jl_value_t, kind: Kind) -> bool {
        self.types.get(kind as usize) == Some(&(ty as usize))
    }
}
