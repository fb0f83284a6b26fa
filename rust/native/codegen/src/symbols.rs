//! The symbols of a library, for the loader and between its parts.

/// Where the loader finds things in the library.
pub mod symbol {
    /// `void *[n]`, zero: the loader fills it.
    pub const SLOTS: &str = "nativecache_slots";
    /// `int32_t[n]`: each exported function, as its address minus the address of this array.
    pub const FUNCTIONS: &str = "nativecache_functions";
    /// `uint8_t[16]`: ties the code to its tables.
    pub const BUILD_ID: &str = "nativecache_build_id";
    /// `int64_t`, zero: the loader stores the offset of the thread-local state from the thread pointer.
    pub const TLS_OFFSET: &str = crate::julia_1_5::TLS_OFFSET;
}

/// The name that the library's own code uses for the slot table, [`symbol::SLOTS`].
pub(crate) const SLOT_TABLE: &str = "nativecache_slots.real";

/// The name that parts use for the offset of the thread-local state. They would reach [`symbol::TLS_OFFSET`] through
/// the global offset table.
pub(crate) const HIDDEN_TLS_OFFSET: &str = "nativecache_tls_offset";

/// Start of the symbol by which parts refer to a slot.
const SLOT: &str = "slot.";

/// The name of the variable that stands for a slot between `rewrite` and `finish`.
pub(crate) fn placeholder(slot: u32) -> String {
    format!("nativecache_slot.{slot}")
}

/// The symbol by which parts refer to a slot, made of a hash of what the slot holds.
pub(crate) fn slot(hash: u32) -> String {
    format!("{SLOT}{hash:08x}")
}

/// Is this a name that [`slot`] has made?
pub(crate) fn is_slot(name: &str) -> bool {
    name.starts_with(SLOT)
}
