//! The method tables of this session, each walked at most once while a library is linked.
//!
//! Two things are asked of them: does a table have the methods that it had at build (`digest`), and which
//! method has this signature. For the second Julia compares types with every method in a list, and the
//! table of constructors is one list of thousands; here only the methods outside of the sysimage are
//! candidates, and of those the few that look alike.

use nativecache_mutation::mutation;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use jl_sys::{jl_datatype_t, jl_method_t, jl_methtable_t};
use smallvec::SmallVec;

use crate::edges::record::method_identity;
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{jl_method_table_for, jl_methtable_lookup};
use nativecache_julia::object::{is, svec_items, type_name, unwrap_unionall, Value};
use nativecache_julia::origin::Origins;
use nativecache_julia::types::same_type;
use rustc_hash::FxHashMap;

/// What a walk over one method table found.
#[derive(Default)]
pub struct Scan {
    /// How many methods are not deleted.
    pub live: u32,
    /// How many are: each means that something was redefined or deleted in this process, or when the
    /// sysimage was made.
    dead: Vec<*mut jl_method_t>,
    /// The last world in which one of them was deleted or redefined.
    pub last_end: usize,
    /// Methods that are not deleted and do not lie in the sysimage.
    pub others: Vec<*mut jl_method_t>,
    /// The same by what their signatures look like.
    by_shape: FxHashMap<u64, SmallVec<[*mut jl_method_t; 1]>>,
}

impl Scan {
    /// Walks over `table`.
    ///
    /// # Safety
    /// `table` is a live method table that nobody changes meanwhile; `sysimage` is where its objects lie.
    pub unsafe fn of(table: *mut jl_methtable_t, sysimage: &Range<usize>) -> Self {
        let mut scan = Scan::default();
        // SAFETY: `defs` is a typemap whose entries hold methods.
        unsafe {
            inspect::visit_typemap((*table).defs, &mut |entry| {
                let live = (*entry).max_world == usize::MAX;
                if live {
                    scan.live += 1;
                    if sysimage.contains(&(entry as usize)) {
                        return;
                    }
                } else {
                    scan.last_end = scan.last_end.max((*entry).max_world);
                }
                let method = (*entry).func.value;
                if is(method, jl_sys::jl_method_type) {
                    let list = if live { &mut scan.others } else { &mut scan.dead };
                    list.push(method.cast());
                }
            });
            for method in &scan.others {
                scan.by_shape.entry(shape((**method).sig)).or_default().push(*method);
            }
        }
        scan
    }

    /// A number that changes when a method is added, deleted or replaced: a sum over the identities of the
    /// methods outside of the sysimage and to those of the dead.
    ///
    /// # Safety
    /// As [`Origins::of`].
    pub unsafe fn digest(&self, origins: &Origins) -> u64 {
        // SAFETY: methods of a live table are live.
        let identity = |method: &*mut jl_method_t| unsafe { method_identity(*method, origins) };
        // Which ones are dead, not only how many: of two that the sysimage has one or the other may be deleted.
        let dead = self.dead.iter().fold(0u64, |sum, method| {
            let identity = mutation!("edges: deleted methods are only counted", identity(method), 0);
            sum.wrapping_add(identity.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        });
        self.others.iter().fold(dead, |sum, method| sum.wrapping_add(identity(method)))
    }
}

/// All walks of one linking.
pub struct MethodTables {
    sysimage: Range<usize>,
    world: usize,
    /// They are as they were at build: nothing of the sysimage is dead that was not then.
    pristine: bool,
    scans: RefCell<FxHashMap<*mut jl_methtable_t, Rc<Scan>>>,
}

impl MethodTables {
    /// `sysimage` is where its objects lie, `world` the newest one.
    pub fn new(sysimage: Range<usize>, world: usize) -> Self {
        MethodTables { sysimage, world, pristine: false, scans: RefCell::default() }
    }

    /// Forgets what other worlds looked like.
    pub fn enter(&mut self, world: usize) {
        if world != self.world {
            self.world = world;
            self.scans.get_mut().clear();
        }
    }

    /// Says whether all of them are known to be as they were at build.
    pub fn set_pristine(&mut self, pristine: bool) {
        self.pristine = pristine;
    }

    /// Are all of them known to be as they were at build?
    pub fn pristine(&self) -> bool {
        self.pristine
    }

    /// What is in `table`.
    ///
    /// # Safety
    /// `table` is a live method table; no code runs meanwhile that changes one.
    pub unsafe fn scan(&self, table: *mut jl_methtable_t) -> Rc<Scan> {
        let mut scans = self.scans.borrow_mut();
        // SAFETY: as the caller says.
        let new = || Rc::new(unsafe { Scan::of(table, &self.sysimage) });
        Rc::clone(scans.entry(table).or_insert_with(new))
    }

    /// The method that the newest world has under exactly this signature.
    ///
    /// # Safety
    /// As [`MethodTables::scan`]; `signature` is a live type.
    pub unsafe fn find(&self, signature: Value) -> Option<*mut jl_method_t> {
        // SAFETY: `nothing` and null mean that there is no table.
        unsafe {
            let table = jl_method_table_for(signature);
            if table.is_null() || table == jl_sys::jl_nothing {
                return None;
            }
            let table = table.cast::<jl_methtable_t>();
            if is((*table).defs, jl_sys::jl_typemap_entry_type) {
                // A short list, and most are: the functions of a package have a method or two.
                if let Some(method) = first_of(table, signature) {
                    return Some(method);
                }
            } else if let Some(alike) = self.scan(table).by_shape.get(&shape(signature)) {
                if let Some(method) = alike.iter().find(|m| same_type((***m).sig, signature)) {
                    return Some(*method);
                }
            }
            let method = jl_methtable_lookup(table, signature, self.world);
            is(method, jl_sys::jl_method_type).then(|| method.cast())
        }
    }

    /// Is this method of the sysimage still what its table has under its signature?
    ///
    /// # Safety
    /// As [`MethodTables::scan`]; `method` is live.
    pub unsafe fn is_live(&self, method: *mut jl_method_t) -> bool {
        if self.pristine {
            return true;
        }
        // SAFETY: as the caller says.
        unsafe {
            let table = jl_method_table_for((*method).sig);
            !table.is_null() && table != jl_sys::jl_nothing && !self.scan(table.cast()).dead.contains(&method)
        }
    }
}

/// The first method of a short list, if it has this very signature.
unsafe fn first_of(table: *mut jl_methtable_t, signature: Value) -> Option<*mut jl_method_t> {
    // SAFETY: as `find`; `defs` is an entry.
    unsafe {
        let entry = (*table).defs.cast::<jl_sys::jl_typemap_entry_t>();
        let method = (*entry).func.value;
        let live = (*entry).max_world == usize::MAX && is(method, jl_sys::jl_method_type);
        // Tuple types without free variables exist once.
        (live && (*entry).sig.cast() == signature).then(|| method.cast())
    }
}

/// A number that is the same for signatures that are the same type: how many arguments there are, and the
/// names of the arguments' types.
///
/// # Safety
/// `signature` is live.
unsafe fn shape(signature: Value) -> u64 {
    let mut hash = 0u64;
    let mut add =
        |word: usize| hash = (hash ^ word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    // SAFETY: kinds are checked before casts.
    unsafe {
        let body = unwrap_unionall(signature);
        if !is(body, jl_sys::jl_datatype_type) {
            return 0;
        }
        let parameters = svec_items((*body.cast::<jl_datatype_t>()).parameters);
        add(parameters.len());
        for parameter in parameters {
            // Types that are equal may be written as a union, a variable or with a `where`: only plain ones count.
            let Some(name) =
                is(*parameter, jl_sys::jl_datatype_type).then(|| type_name(*parameter)).flatten()
            else {
                continue;
            };
            if name == jl_sys::jl_tuple_typename || name == jl_sys::jl_vararg_typename {
                continue;
            }
            add(name as usize);
            if name == jl_sys::jl_type_typename {
                let of = svec_items((*parameter.cast::<jl_datatype_t>()).parameters).first();
                add(of.and_then(|of| type_name(*of)).map_or(0, |name| name as usize));
            }
        }
    }
    hash
}
