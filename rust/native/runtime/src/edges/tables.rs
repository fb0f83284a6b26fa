//! The method tables of this session, each walked at most once while a library is linked.
//!
//! Two things are asked of them: does a table have the methods that it had at build (`digest`), and which
//! method has this signature. For the second Julia compares types with every method in a list, and the
//! table of constructors is one list of thousands; here only the methods outside of the sysimage are
//! candidates, and of those the few that look alike.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use nativecache_julia::handles::{DataType, Method, MethodTable, Object};
use nativecache_julia::origin::Origins;
use nativecache_mutation::mutation;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::edges::method_identity::method_identity;

/// What a walk over one method table found.
#[derive(Default)]
pub struct Scan<'j> {
    /// How many methods are not deleted.
    pub live: u32,
    /// Those that are: each means that something was redefined or deleted in this process, or when the
    /// sysimage was made.
    dead: Vec<Method<'j>>,
    /// The last world in which one of them was deleted or redefined.
    pub last_end: usize,
    /// Methods that are not deleted and do not lie in the sysimage.
    pub others: Vec<Method<'j>>,
    /// The methods of `others` by what their signatures look like.
    by_shape: FxHashMap<u64, SmallVec<[Method<'j>; 1]>>,
}

impl<'j> Scan<'j> {
    /// Walks over `table`; `sysimage` is where the objects of the sysimage lie.
    pub fn of(table: MethodTable<'j>, sysimage: &Range<usize>) -> Self {
        let mut scan = Scan::default();
        table.visit_entries(|entry| {
            let live = entry.is_live();
            if live {
                scan.live += 1;
                if sysimage.contains(&entry.address()) {
                    return;
                }
            } else {
                scan.last_end = scan.last_end.max(entry.max_world());
            }
            if let Some(method) = entry.method() {
                let list = if live { &mut scan.others } else { &mut scan.dead };
                list.push(method);
            }
        });
        for method in &scan.others {
            scan.by_shape.entry(shape(method.signature())).or_default().push(*method);
        }
        scan
    }

    /// A number that changes when a method is added, deleted or replaced: a sum over the identities of the
    /// methods outside of the sysimage and to those of the dead.
    pub fn digest(&self, origins: &Origins) -> u64 {
        // Which ones are dead, not only how many: of two that the sysimage has one or the other may be deleted.
        let dead = self.dead.iter().fold(0u64, |sum, method| {
            let identity =
                mutation!("edges: deleted methods are only counted", method_identity(*method, origins), 0);
            sum.wrapping_add(identity.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        });
        self.others.iter().fold(dead, |sum, method| sum.wrapping_add(method_identity(*method, origins)))
    }
}

/// All walks of one linking.
pub struct MethodTables<'j> {
    sysimage: Range<usize>,
    world: usize,
    as_at_build: bool,
    scans: RefCell<FxHashMap<MethodTable<'j>, Rc<Scan<'j>>>>,
}

impl<'j> MethodTables<'j> {
    /// `sysimage` is where its objects lie, `world` the newest one. `as_at_build` says that all tables are known to be as
    /// they were at build: nothing of the sysimage is dead that was not then.
    pub fn new(sysimage: Range<usize>, world: usize, as_at_build: bool) -> Self {
        MethodTables { sysimage, world, as_at_build, scans: RefCell::default() }
    }

    /// Are all of them known to be as they were at build?
    pub fn are_as_at_build(&self) -> bool {
        self.as_at_build
    }

    /// What is in `table`.
    pub fn scan(&self, table: MethodTable<'j>) -> Rc<Scan<'j>> {
        let mut scans = self.scans.borrow_mut();
        Rc::clone(scans.entry(table).or_insert_with(|| Rc::new(Scan::of(table, &self.sysimage))))
    }

    /// The method that the newest world has under exactly this signature.
    pub fn find(&self, signature: Object<'j>) -> Option<Method<'j>> {
        let table = MethodTable::of_signature(signature)?;
        if let Some(first) = table.first_of_list() {
            // A short list, and most are: the functions of a package have a method or two. Tuple types without free
            // variables exist once.
            if let Some(method) = first.method().filter(|_| first.is_live() && first.signature() == signature)
            {
                return Some(method);
            }
        } else if let Some(alike) = self.scan(table).by_shape.get(&shape(signature)) {
            if let Some(method) = alike.iter().find(|method| method.signature().is_same_type(signature)) {
                return Some(*method);
            }
        }
        table.find(signature, self.world)
    }

    /// Is this method of the sysimage still what its table has under its signature?
    pub fn is_live(&self, method: Method<'j>) -> bool {
        self.as_at_build
            || MethodTable::of_signature(method.signature())
                .is_some_and(|table| !self.scan(table).dead.contains(&method))
    }
}

/// A number that is the same for signatures that are the same type: how many arguments there are, and the
/// names of the arguments' types.
fn shape(signature: Object<'_>) -> u64 {
    let mut hash = 0u64;
    let mut add =
        |word: usize| hash = (hash ^ word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let Some(signature) = signature.data_type() else { return 0 };
    let parameters = signature.parameters();
    add(parameters.len());
    for parameter in parameters.items() {
        // Types that are equal may be written as a union, a variable or with a `where`: only plain ones count.
        let Some(ty) = parameter.as_kind::<DataType<'_>>() else { continue };
        let name = ty.name();
        if name.is_tuple() || name.is_vararg() {
            continue;
        }
        add(name.address());
        if name.is_type_of_types() {
            let of = ty.parameters().get(0).and_then(Object::type_name);
            add(of.map_or(0, |name| name.address()));
        }
    }
    hash
}
