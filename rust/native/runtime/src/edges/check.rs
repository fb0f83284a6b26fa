//! Does what cached code depends on still hold? Asked when a library is linked, before anything of it
//! is installed.
//!
//! Per method table one digest is compared; only in tables that differ each edge is looked at, once,
//! as Julia does for precompile files (dump.c, `jl_verify_edges`): the methods that match now must be
//! those that matched at build. A function is valid if all its edges hold and all functions of the
//! library that it relies on are valid.

use nativecache_mutation::mutation;
use std::cell::Cell;
use std::collections::HashSet;

use jl_sys::{
    jl_code_instance_t, jl_method_instance_t, jl_method_t, jl_methtable_t, jl_module_t, jl_typename_t,
};
use smallvec::SmallVec;

use nativecache_image::{EdgeId, EdgeRef, EdgeTarget, FunctionId, Image, NodeId, PackageId, Reason, TableId};

use crate::edges::constants;
use crate::edges::generator::{body_digest, seen_by};
use crate::edges::record::matching_methods;
use crate::edges::table_growth;
use crate::load::link::{state_of, State};
use crate::objects::resolve::Resolver;
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{
    jl_array_ptr_1d_push, jl_method_instance_add_backedge, jl_method_table_add_backedge, jl_method_table_for,
    jl_rettype_inferred,
};
use nativecache_julia::object::{array_items, is, is_type, module_path, symbol_str, Value};
use nativecache_julia::sysimage::Sysimage;
use nativecache_julia::types::type_text;

/// The verdict on one edge: what it found, in words, when it does not hold.
type Verdict = Result<(), State>;

/// What became of a method table since the build.
enum Standing {
    Same,
    /// These methods were added, and nothing else.
    Grown(Vec<*mut jl_method_t>),
    Changed,
}

/// Verifies the functions of one image in one world.
pub struct Verifier<'a> {
    image: Image<'a>,
    resolver: &'a Resolver,
    sysimage: Option<&'a Sysimage>,
    world: usize,
    /// All root modules.
    roots: &'a [*mut jl_module_t],
    /// A package of the image that is not loaded.
    missing: Option<PackageId>,
    /// Generators may run, for which Julia may have to compile what the library holds.
    ask_generators: bool,
    /// A verdict waits for a generator.
    unasked: Cell<bool>,
    tables: Vec<Standing>,
    edges: Vec<Option<Verdict>>,
    /// For each node, whether it is the method instance of a function of the library.
    own: Vec<bool>,
}

impl<'a> Verifier<'a> {
    /// Compares the digests of all tables.
    ///
    /// # Safety
    /// On a Julia thread, collector off; the resolver's objects are live; `world` is the newest.
    pub unsafe fn new(
        image: Image<'a>,
        resolver: &'a Resolver,
        sysimage: Option<&'a Sysimage>,
        roots: &'a [*mut jl_module_t],
        missing: Option<PackageId>,
        world: usize,
    ) -> Self {
        let mut own = vec![false; image.node_count() as usize];
        for (_, function) in image.functions() {
            if let Some(place) = own.get_mut(function.method_instance.index()) {
                *place = true;
            }
        }
        let mut verifier = Verifier {
            image,
            resolver,
            sysimage,
            world,
            roots,
            missing,
            ask_generators: false,
            unasked: Cell::new(false),
            tables: Vec::new(),
            edges: vec![None; image.edge_count() as usize],
            own,
        };
        let packages = match resolver.tables().pristine() {
            true => HashSet::new(),
            false => table_growth::packages_of_build(&image),
        };
        // SAFETY: as the caller says.
        let standing = |t| unsafe { verifier.standing(TableId(t), &packages) };
        verifier.tables = (0..image.table_count()).map(standing).collect();
        verifier
    }

    /// How many method tables have other methods than at build.
    pub fn changed_tables(&self) -> usize {
        self.tables.iter().filter(|table| !matches!(table, Standing::Same)).count()
    }

    unsafe fn standing(&self, id: TableId, packages: &HashSet<&str>) -> Standing {
        if self.resolver.tables().pristine() {
            return Standing::Same;
        }
        let Ok(table) = self.image.table(id) else { return Standing::Changed };
        let Ok(name) = self.resolver.get(table.typename) else { return Standing::Changed };
        // SAFETY: the resolver vouches for live objects; the kind is checked.
        unsafe {
            if !is(name, jl_sys::jl_typename_type) {
                return Standing::Changed;
            }
            let methods = (*name.cast::<jl_typename_t>()).mt;
            if methods.is_null() || methods.cast() == jl_sys::jl_nothing {
                return Standing::Changed;
            }
            let (scan, origins) = (self.resolver.tables().scan(methods), self.resolver.origins());
            let same = scan.live == table.live && scan.digest(origins) == table.digest;
            if mutation!("edges: every table counts as unchanged", same, true) {
                return Standing::Same;
            }
            table_growth::added(&scan, &table, packages, origins).map_or(Standing::Changed, Standing::Grown)
        }
    }

    /// May generators run? Not as long as what they need can be installed first.
    pub fn ask_generators(mut self, ask: bool) -> Self {
        self.ask_generators = ask;
        self
    }

    /// Was a function left out because its generator may not run?
    pub fn has_unasked(&self) -> bool {
        self.unasked.get()
    }

    /// The verdict on every function, in order. Those that were `refused` are not even looked at.
    ///
    /// # Safety
    /// As [`Verifier::new`].
    pub unsafe fn functions(&mut self, refused: &[FunctionId]) -> Vec<Verdict> {
        let count = self.image.function_count();
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(count as usize);
        for index in 0..count {
            verdicts.push(
                match mutation!(
                    "verify mode: what differs is used",
                    refused.contains(&FunctionId(index)),
                    false
                ) {
                    true => Err(State::Rejected(Reason::Different, String::new())),
                    // SAFETY: as the caller says.
                    false => unsafe { self.own_edges(FunctionId(index)) },
                },
            );
        }
        let mut invalid: Vec<u32> = (0..count).filter(|i| verdicts[*i as usize].is_err()).collect();
        let dependents = if invalid.is_empty() { Vec::new() } else { self.dependents() };
        while let Some(index) = invalid.pop() {
            let because = match &verdicts[index as usize] {
                // What waits makes its callers wait for the same package.
                Err(State::Waiting(package)) => State::Waiting(*package),
                // SAFETY: as the caller says.
                _ => State::Rejected(Reason::DependsOnRejected, unsafe { self.name_of(index) }),
            };
            for dependent in &dependents[index as usize] {
                let verdict = &mut verdicts[*dependent as usize];
                if mutation!("edges: callers of what is rejected stay", verdict.is_ok(), false) {
                    *verdict = Err(because.clone());
                    invalid.push(*dependent);
                }
            }
        }
        verdicts
    }

    /// For each function, those that rely on it.
    fn dependents(&self) -> Vec<Vec<u32>> {
        let mut dependents = vec![Vec::new(); self.image.function_count() as usize];
        for (id, function) in self.image.functions() {
            for on in function.depends.iter() {
                if let Some(list) = dependents.get_mut(on.index()) {
                    list.push(id.0);
                }
            }
        }
        dependents
    }

    unsafe fn own_edges(&mut self, id: FunctionId) -> Verdict {
        let Ok(function) = self.image.function(id) else {
            return Err(State::Rejected(Reason::Malformed, String::new()));
        };
        for edge in function.edges.iter() {
            // SAFETY: as `functions`.
            unsafe { self.edge(edge) }?;
        }
        Ok(())
    }

    unsafe fn edge(&mut self, id: EdgeId) -> Verdict {
        match self.edges.get(id.index()) {
            Some(Some(Ok(()))) => return Ok(()),
            Some(Some(verdict)) => return verdict.clone(),
            _ => {}
        }
        let verdict = match self.image.edge(id) {
            // SAFETY: as `functions`.
            Ok(edge) => unsafe { self.check(&edge) },
            Err(error) => Err(State::Rejected(Reason::Malformed, error.to_string())),
        };
        if let Some(place) = self.edges.get_mut(id.index()) {
            *place = Some(verdict.clone());
        }
        verdict
    }

    unsafe fn check(&self, edge: &EdgeRef<'_>) -> Verdict {
        // SAFETY: resolved objects are live; kinds are checked before use.
        unsafe {
            let signature = match edge.target {
                EdgeTarget::MethodInstance(node) => {
                    let mi = self.resolver.method_instance(node).map_err(|t| state_of(&t))?;
                    self.check_sysimage_code(node, mi)?;
                    (*mi).specTypes
                }
                EdgeTarget::Signature(node) => self.get(node)?,
                EdgeTarget::Generated(node) => return self.check_generated(node, edge),
                EdgeTarget::Constant(node) => return self.check_constant(node, edge),
            };
            let mut expected: SmallVec<[*mut jl_method_t; 4]> = SmallVec::new();
            for method in edge.methods.iter() {
                expected.push(self.get(method)?.cast());
            }
            match self.tables.get(edge.table.index()) {
                Some(Standing::Same) => return Ok(()),
                Some(Standing::Grown(new))
                    if mutation!(
                        "edges: what a table has more concerns no call",
                        table_growth::out_of_reach(signature, new),
                        true
                    ) =>
                {
                    return Ok(())
                }
                _ => {}
            }
            // Looked at edge by edge, most tables would differ as long as a package is missing; the proof
            // is cheap once it is there.
            if let Some(package) = self.missing {
                return Err(State::Waiting(package));
            }
            let found = matching_methods(signature, self.world);
            match found {
                Some(found) if mutation!("edges: any methods will do", same_set(&found, &expected), true) => {
                    Ok(())
                }
                found => Err(State::Rejected(Reason::EdgeChanged, difference(signature, &expected, found))),
            }
        }
    }

    /// Is a constant what it was?
    unsafe fn check_constant(&self, node: NodeId, edge: &EdgeRef<'_>) -> Verdict {
        // SAFETY: resolved objects are live; kinds are checked before use.
        unsafe {
            let module = self.get(node)?;
            let mut parts = edge.methods.iter();
            let (Some(name), Some(then)) = (parts.next(), parts.next()) else {
                return Err(State::Rejected(Reason::Malformed, String::new()));
            };
            let (name, then) = (self.get(name)?, self.get(then)?);
            let fits = is(module, jl_sys::jl_module_type)
                && is(name, jl_sys::jl_symbol_type)
                && is(then, jl_sys::jl_uint64_type);
            if !fits {
                return Err(State::Rejected(Reason::Malformed, String::new()));
            }
            let same = constants::digest(module.cast(), name.cast()) == Some(*then.cast::<u64>());
            if mutation!("constants: they stay what they were", same, true) {
                return Ok(());
            }
            let what = format!("{}.{}", module_path(module.cast()), symbol_str(name.cast()));
            Err(State::Rejected(Reason::ConstantChanged, what))
        }
    }

    /// Would Julia generate the body that was compiled?
    unsafe fn check_generated(&self, node: NodeId, edge: &EdgeRef<'_>) -> Verdict {
        // SAFETY: resolved objects are live; kinds are checked before use.
        unsafe {
            let mi = self.resolver.method_instance(node).map_err(|t| state_of(&t))?;
            let mut numbers = [0u64; 3];
            for (number, node) in numbers.iter_mut().zip(edge.methods.iter()) {
                let value = self.get(node)?;
                if is(value, jl_sys::jl_uint64_type) {
                    *number = *value.cast::<u64>();
                }
            }
            let [body, seen, start] = numbers;
            let (origins, none) = (self.resolver.origins(), 0..0);
            let sysimage = self.sysimage.map_or(&none, |s| &s.data);
            let first = usize::try_from(start).unwrap_or(0).wrapping_add(1);
            let same = seen != 0
                && start != 0
                && seen_by(mi, origins, sysimage, self.roots, Some(first)).is_some_and(|now| {
                    mutation!("generated: other packages before count as none", now == seen, true)
                });
            if same {
                return Ok(());
            }
            if !self.ask_generators {
                self.unasked.set(true);
                let what = format!("the generator of {} was not asked", type_text((*mi).specTypes));
                return Err(State::Rejected(Reason::GeneratedFunction, what));
            }
            if mutation!("generated: any body will do", body_digest(mi) == Some(body), true) {
                return Ok(());
            }
            let what = format!("{} has another generated body now", type_text((*mi).specTypes));
            Err(State::Rejected(Reason::EdgeChanged, what))
        }
    }

    /// Code of the sysimage that the library took at its word must still be valid: what it depends on is
    /// not among the library's edges, since Julia itself watches over it.
    unsafe fn check_sysimage_code(&self, node: NodeId, mi: *mut jl_method_instance_t) -> Verdict {
        let (Some(sysimage), false) = (self.sysimage, self.own.get(node.index()).copied().unwrap_or(false))
        else {
            return Ok(());
        };
        // SAFETY: `mi` is live.
        unsafe {
            // Most often the first that is valid is the sysimage's own, whose code Julia keeps, but not for inlining.
            let valid = |ci: &*mut jl_code_instance_t| {
                (**ci).min_world <= self.world && self.world <= (**ci).max_world
            };
            if inspect::code_instances(mi).find(valid).is_some_and(|ci| {
                sysimage.data.contains(&(ci as usize)) && (*ci).inferred == jl_sys::jl_nothing
            }) {
                return Ok(());
            }
            let had = inspect::code_instances(mi)
                .any(|ci| sysimage.data.contains(&(ci as usize)) && !(*ci).inferred.is_null());
            if !had {
                return Ok(());
            }
            let now = jl_rettype_inferred(mi, self.world, self.world);
            if sysimage.data.contains(&(now as usize)) && is(now, jl_sys::jl_code_instance_type) {
                return Ok(());
            }
            let what = format!("{} was invalidated in this session", type_text((*mi).specTypes));
            Err(State::Rejected(Reason::EdgeChanged, what))
        }
    }

    fn get(&self, node: NodeId) -> Result<Value, State> {
        self.resolver.get(node).map_err(|trouble| state_of(&trouble))
    }

    unsafe fn name_of(&self, index: u32) -> String {
        let node = self.image.function(FunctionId(index)).map(|f| f.method_instance);
        let mi = node.ok().and_then(|n| self.resolver.method_instance(n).ok());
        // SAFETY: resolved objects are live.
        mi.map_or_else(String::new, |mi| unsafe { type_text((*mi).specTypes) })
    }
}

fn same_set(a: &[*mut jl_method_t], b: &[*mut jl_method_t]) -> bool {
    a.len() == b.len() && a.iter().all(|m| b.contains(m))
}

/// `f(::T) now resolves to … in …`.
unsafe fn difference(
    signature: Value,
    expected: &[*mut jl_method_t],
    found: Option<Vec<*mut jl_method_t>>,
) -> String {
    // SAFETY: methods and signature are live.
    unsafe {
        let call = type_text(signature);
        let Some(found) = found else { return format!("{call} cannot be resolved any more") };
        let place = |m: &*mut jl_method_t| {
            let name = symbol_str((**m).name);
            format!("{}.{name} at {}:{}", module_path((**m).module), symbol_str((**m).file), (**m).line)
        };
        match found.iter().find(|m| !expected.contains(m)) {
            Some(new) => format!("{call} now resolves to {}", place(new)),
            None => match expected.iter().find(|m| !found.contains(m)) {
                Some(old) => format!("{call} does not resolve to {} any more", place(old)),
                None => format!("{call} resolves in another way"),
            },
        }
    }
}

/// Tells Julia that `caller` depends on this edge, so that it invalidates it like any other code.
///
/// # Safety
/// As [`Verifier::new`]; `caller` is the function's method instance.
pub unsafe fn add_backedge(
    image: &Image<'_>,
    resolver: &Resolver,
    edge: EdgeId,
    caller: *mut jl_method_instance_t,
) {
    let Ok(edge) = image.edge(edge) else { return };
    // SAFETY: resolved objects are live; kinds are checked.
    unsafe {
        match edge.target {
            EdgeTarget::MethodInstance(node) => {
                let Ok(callee) = resolver.method_instance(node) else { return };
                let known = array_items((*callee).backedges);
                if known.len() < LONG {
                    mutation!(
                        "backedges: none on method instances",
                        jl_method_instance_add_backedge(callee, caller),
                        ()
                    );
                } else if !known[known.len() - LONG..].contains(&caller.cast()) {
                    // Julia looks through the whole list each time, which is quadratic for a callee with
                    // thousands of callers. An entry that stands twice is invalidated twice: harmless.
                    jl_array_ptr_1d_push((*callee).backedges, caller.cast());
                }
            }
            EdgeTarget::Generated(_) | EdgeTarget::Constant(_) => {}
            EdgeTarget::Signature(node) => {
                let Ok(signature) = resolver.get(node) else { return };
                if !is_type(signature) {
                    return;
                }
                let table = jl_method_table_for(signature);
                if table.is_null() || table == jl_sys::jl_nothing {
                    return;
                }
                let table = table.cast::<jl_methtable_t>();
                if array_items((*table).backedges).len() < LONG {
                    mutation!(
                        "backedges: none on method tables",
                        jl_method_table_add_backedge(table, signature, caller.cast()),
                        ()
                    );
                } else {
                    jl_array_ptr_1d_push((*table).backedges, signature);
                    jl_array_ptr_1d_push((*table).backedges, caller.cast());
                }
            }
        }
    }
}

/// Lists longer than this are appended to without a look through all of them.
const LONG: usize = 64;
