//! Numbers by which the parts of an image refer to each other: one type per table, so that they cannot be mixed up.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);

        impl $name {
            /// The number as an index into a slice with one item per record.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl ListItem for $name {
            fn from_word(word: u32) -> Self {
                Self(word)
            }
        }
    )*};
}

ids! {
    /// A node: the description of one Julia object.
    NodeId;
    /// A root module with the build id it must have.
    PackageId;
    /// A slot of the library: one pointer of `nativecache_slots`.
    SlotId;
    /// A function of the library: one code instance that it can install.
    FunctionId;
    /// A method table, as it was when the library was built.
    TableId;
    /// An edge: what must still hold for a function to be valid.
    EdgeId;
    /// A requested method.
    EntryId;
    /// Machine code: an index into the library's `nativecache_functions`.
    CodeIndex;
}

/// The word that stands for "none" or `#undef` where an operand may be absent.
pub(crate) const NONE: u32 = u32::MAX;

/// What a [`List`](crate::List) can hold: anything that is stored as one word.
pub trait ListItem: Copy + private::Sealed {
    /// The item that the word stands for.
    #[must_use]
    fn from_word(word: u32) -> Self;
}

impl ListItem for Option<NodeId> {
    fn from_word(word: u32) -> Self {
        (word != NONE).then_some(NodeId(word))
    }
}

impl ListItem for u32 {
    fn from_word(word: u32) -> Self {
        word
    }
}

mod private {
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for super::NodeId {}
    impl Sealed for super::PackageId {}
    impl Sealed for super::SlotId {}
    impl Sealed for super::FunctionId {}
    impl Sealed for super::TableId {}
    impl Sealed for super::EdgeId {}
    impl Sealed for super::EntryId {}
    impl Sealed for super::CodeIndex {}
    impl Sealed for Option<super::NodeId> {}
}
