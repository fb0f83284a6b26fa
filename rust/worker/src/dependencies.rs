//! The functions of an image with their edges: those that have code, and those that inference looked
//! at on the way, whose edges must hold as well.

use std::collections::{HashMap, HashSet};

use jl_sys::{jl_code_instance_t, jl_method_instance_t, jl_method_t, jl_methtable_t, jl_typename_t};
use nativecache_image::{
    Edge, EdgeId, EdgeTarget, Function, FunctionId, Invoke, NodeId, Reason, Table, TableId,
};
use nativecache_runtime::constants;
use nativecache_runtime::describe::Describer;
use nativecache_runtime::edges::{matching_methods, table_digest, table_names, Dependencies, Target};
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::generator::{body_digest, is_generated, seen_by};
use nativecache_runtime::julia::{jl_get_world_counter, jl_method_table_for, jl_rettype_inferred};
use nativecache_runtime::pristine::{base_world, is_original};
use nativecache_runtime::value::{is, symbol, symbol_str};

use crate::build::{returns_constant, Status, World};
use crate::error::BuildError;
use crate::mi;
use crate::state::{Finding, Reading, States};

type Instance = *mut jl_method_instance_t;

/// Functions on their way into an image.
#[derive(Default)]
pub struct Functions {
    list: Vec<(Instance, Function)>,
    index: HashMap<Instance, usize>,
    /// Results of inference that could not be described: a session has to find them again.
    not_kept: u32,
}

/// What [`Functions::finish`] wrote.
pub struct Finished {
    /// The numbers of the method instances in the image.
    pub ids: HashMap<Instance, FunctionId>,
    /// How many results of inference could not be described.
    pub not_kept: u32,
}

/// What is needed to turn targets into edges, and what was found so far.
struct EdgeMaker<'a> {
    world: &'a World,
    newest: usize,
    dependencies: Dependencies,
    names: HashMap<*mut jl_methtable_t, *mut jl_typename_t>,
    tables: HashMap<*mut jl_methtable_t, TableId>,
    made: HashMap<Target, Result<EdgeId, Undescribable>>,
    bodies: HashMap<Instance, Result<EdgeId, Undescribable>>,
    invoked: HashMap<Instance, bool>,
    of_constants: HashMap<(usize, &'static str), EdgeId>,
    pure: HashMap<*mut jl_method_t, Finding>,
    generators: HashMap<*mut jl_method_t, Finding>,
    states: States<'a>,
}

impl Functions {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function that has code, or a constant result.
    pub fn add(&mut self, mi: Instance, function: Function) {
        if !self.index.contains_key(&mi) {
            self.index.insert(mi, self.list.len());
            self.list.push((mi, function));
        }
    }

    /// Adds what the functions depend on, and writes all into the image. What cannot be described
    /// completely is left out, with all that relies on it.
    ///
    /// # Safety
    /// The collector is off, nothing else runs, `world` is what is alive.
    pub unsafe fn finish(
        mut self,
        world: &World,
        describer: &mut Describer,
        statuses: &mut [Status],
    ) -> Result<Finished, BuildError> {
        // SAFETY: as the caller says.
        unsafe {
            let mut maker = EdgeMaker {
                world,
                newest: jl_get_world_counter(),
                dependencies: Dependencies::collect(&world.methods, &world.tables),
                names: table_names(&world.modules),
                tables: HashMap::new(),
                made: HashMap::new(),
                bodies: HashMap::new(),
                invoked: HashMap::new(),
                of_constants: HashMap::new(),
                pure: HashMap::new(),
                generators: HashMap::new(),
                states: States::new(&world.sysimage.data, &world.made_at_init),
            };
            self.add_inferred(&maker, describer);
            let mut rejected: HashMap<usize, Undescribable> = HashMap::new();
            let mut depends: Vec<Vec<usize>> = Vec::new();
            for at in 0..self.list.len() {
                let (edges, on) = maker.edges(self.list[at].0, &self.index, describer);
                match edges {
                    Ok(edges) => self.list[at].1.edges = edges,
                    Err(error) => {
                        rejected.insert(at, error);
                    }
                }
                depends.push(on);
            }
            maker.note_base_world(describer);
            propagate(&mut rejected, &depends, &self.list);
            for (at, error) in &rejected {
                let (reason, detail) = match error.reason {
                    Reason::MadeAtInit
                    | Reason::NamesMain
                    | Reason::PureFunction
                    | Reason::GeneratedFunction => (error.reason, error.detail.clone()),
                    _ => (Reason::EdgesUnknown, error.to_string()),
                };
                for status in statuses.iter_mut() {
                    if matches!(status, Status::Wanted(mi) if *mi == self.list[*at].0) {
                        *status = Status::Skipped(reason, detail.clone());
                    }
                }
            }
            let mut numbers: Vec<Option<u32>> = Vec::new();
            let mut next = 0u32;
            for at in 0..self.list.len() {
                numbers.push((!rejected.contains_key(&at)).then_some(next));
                next += u32::from(!rejected.contains_key(&at));
            }
            let mut ids = HashMap::new();
            for (at, (mi, mut function)) in self.list.into_iter().enumerate() {
                if rejected.contains_key(&at) {
                    continue;
                }
                function.depends = depends[at].iter().filter_map(|on| numbers[*on]).map(FunctionId).collect();
                ids.insert(mi, describer.image.function(function)?);
            }
            Ok(Finished { ids, not_kept: self.not_kept })
        }
    }

    /// Method instances that inference looked at and that the session will not have from its sysimage:
    /// their edges count too, since what was found about them went into their callers.
    unsafe fn add_inferred(&mut self, maker: &EdgeMaker<'_>, describer: &mut Describer) {
        let mut seen: HashSet<Instance> = self.index.keys().copied().collect();
        let mut found: Vec<(String, Instance)> = Vec::new();
        let mut stack: Vec<Instance> = self.list.iter().map(|(mi, _)| *mi).collect();
        // SAFETY: as `finish`.
        unsafe {
            while let Some(mi) = stack.pop() {
                for target in maker.dependencies.of(mi) {
                    let Target::Instance(callee) = *target else { continue };
                    if !seen.insert(callee) {
                        continue;
                    }
                    if !maker.in_sysimage(callee) {
                        found.push((mi::text(callee), callee));
                        stack.push(callee);
                    }
                }
            }
            // Backedges stand in the order of inference; by name, another process agrees.
            found.sort_by(|a, b| a.0.cmp(&b.0));
            for (_, callee) in found {
                let ci = jl_rettype_inferred(callee, maker.newest, maker.newest);
                // What the .ji brings every session has already.
                let kept =
                    is(ci, jl_sys::jl_code_instance_type) && !maker.world.from_ji.contains(&(ci as usize));
                let function = if kept { inferred(ci.cast(), maker.world, describer).ok() } else { None };
                self.not_kept += u32::from(kept && function.is_none());
                // Without a description it cannot be the target of an edge: its callers go as well.
                if let Some(function) = function.or_else(|| edges_only(callee, describer).ok()) {
                    self.add(callee, function);
                }
            }
        }
    }
}

/// What inference found about a method instance that has no code in the library: it was inlined wherever it
/// is called, returns a constant, or is only called through the method table.
unsafe fn inferred(
    ci: *mut jl_code_instance_t,
    world: &World,
    describer: &mut Describer,
) -> Result<Function, Undescribable> {
    // SAFETY: `ci` is live.
    unsafe {
        let constant = (*ci).rettype_const;
        let constant = if constant.is_null() { None } else { Some(describer.describe(constant)?) };
        let invoke = if returns_constant(ci) { Invoke::ConstReturn } else { Invoke::Inferred };
        let code = world.inlineable(ci).map(|data| describer.inferred_code(ci, data)).transpose()?;
        let (mi, rettype) = (describer.describe((*ci).def.cast())?, describer.describe((*ci).rettype)?);
        let inlineable = code.is_some();
        Ok(Function { inferred: code, inlineable, ..without_code(mi, rettype, constant, invoke) })
    }
}

/// A function of which only the edges count: nothing is claimed about its result.
unsafe fn edges_only(mi: Instance, describer: &mut Describer) -> Result<Function, Undescribable> {
    // SAFETY: `mi` is live.
    unsafe {
        let rettype = describer.describe(jl_sys::jl_any_type.cast())?;
        Ok(without_code(describer.describe(mi.cast())?, rettype, None, Invoke::EdgesOnly))
    }
}

/// A record without machine code.
pub fn without_code(
    method_instance: NodeId,
    rettype: NodeId,
    rettype_const: Option<NodeId>,
    invoke: Invoke,
) -> Function {
    Function {
        method_instance,
        rettype,
        rettype_const,
        inferred: None,
        invoke,
        spec: None,
        inlineable: false,
        generated: false,
        slots: Vec::new(),
        depends: Vec::new(),
        edges: Vec::new(),
    }
}

/// What relies on something that was left out is left out.
fn propagate(
    rejected: &mut HashMap<usize, Undescribable>,
    depends: &[Vec<usize>],
    list: &[(Instance, Function)],
) {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); list.len()];
    for (at, on) in depends.iter().enumerate() {
        for target in on {
            dependents[*target].push(at);
        }
    }
    let mut stack: Vec<usize> = rejected.keys().copied().collect();
    stack.sort_unstable();
    while let Some(at) = stack.pop() {
        let Some(error) = rejected.get(&at).cloned() else { continue };
        for dependent in &dependents[at] {
            if !rejected.contains_key(dependent) {
                rejected.insert(*dependent, error.clone());
                stack.push(*dependent);
            }
        }
    }
}

impl EdgeMaker<'_> {
    /// Has the sysimage code for it that is still valid? Julia itself then watches over what that depends on.
    unsafe fn in_sysimage(&self, mi: Instance) -> bool {
        // SAFETY: `mi` is live; without valid code the answer is `nothing`, which lies in the sysimage too.
        unsafe {
            let ci = jl_rettype_inferred(mi, self.newest, self.newest);
            is(ci, jl_sys::jl_code_instance_type) && self.world.sysimage.data.contains(&(ci as usize))
        }
    }

    /// The edges of one method instance, and the functions of the image that it relies on.
    unsafe fn edges(
        &mut self,
        mi: Instance,
        functions: &HashMap<Instance, usize>,
        describer: &mut Describer,
    ) -> (Result<Vec<EdgeId>, Undescribable>, Vec<usize>) {
        let mut targets: Vec<Target> = Vec::new();
        let mut seen: HashSet<Instance> = HashSet::from([mi]);
        let mut stack = vec![mi];
        let mut generated: Vec<Instance> = Vec::new();
        let mut looked_at: Vec<Instance> = Vec::new();
        // SAFETY: as `Functions::finish`.
        unsafe {
            while let Some(at) = stack.pop() {
                let of_method = is((*at).def.value, jl_sys::jl_method_type);
                if let Some(error) = of_method.then(|| self.made_at_init(at)).flatten() {
                    return (Err(error), Vec::new());
                }
                if of_method {
                    looked_at.push(at);
                }
                if is_generated(at, &self.world.sysimage.data) {
                    generated.push(at);
                }
                let pure = of_method.then(|| self.world.pure.called_by(at, &self.world.mentions));
                for called in pure.iter().flatten() {
                    if let Some(detail) = self.reads_state(*called) {
                        return (Err(Undescribable { reason: Reason::PureFunction, detail }), Vec::new());
                    }
                }
                let called = pure.into_iter().flatten().map(Target::Instance);
                for target in self.dependencies.of(at).iter().copied().chain(called).collect::<Vec<_>>() {
                    targets.push(target);
                    let Target::Instance(callee) = target else { continue };
                    if self.is_invoked(callee) {
                        let method = (*callee).def.value.cast::<jl_method_t>();
                        targets.push(Target::Signature((*method).sig));
                    }
                    if functions.contains_key(&callee) || !seen.insert(callee) {
                        continue;
                    }
                    if !self.in_sysimage(callee) {
                        stack.push(callee);
                    }
                }
            }
        }
        let mut on: Vec<usize> = targets
            .iter()
            .filter_map(|t| match t {
                Target::Instance(callee) => functions.get(callee).copied(),
                Target::Signature(_) => None,
            })
            .collect();
        on.sort_unstable();
        on.dedup();
        let mut edges = Vec::new();
        for target in targets {
            // SAFETY: as above.
            match unsafe { self.edge(target, describer) } {
                Ok(id) => edges.push(id),
                Err(error) => return (Err(error), on),
            }
        }
        for instance in generated {
            // SAFETY: as above.
            match unsafe { self.generated(instance, describer) } {
                Ok(id) => edges.push(id),
                Err(error) => return (Err(error), on),
            }
        }
        for instance in looked_at {
            // SAFETY: as above.
            match unsafe { self.constants(instance, mi, describer) } {
                Ok(ids) => edges.extend(ids),
                Err(error) => return (Err(error), on),
            }
        }
        edges.sort_unstable();
        edges.dedup();
        (Ok(edges), on)
    }

    /// The edges to constants on which the code of `at` rests, which went into that of `mi`.
    unsafe fn constants(
        &mut self,
        at: Instance,
        mi: Instance,
        describer: &mut Describer,
    ) -> Result<Vec<EdgeId>, Undescribable> {
        // SAFETY: as `Functions::finish`; `at` is an instance of a method.
        unsafe {
            let method = (*at).def.value.cast::<jl_method_t>();
            let asked = self.generators.get(&method).into_iter().chain(self.pure.get(&method));
            let given: Vec<_> = asked.flat_map(|found| found.constants.keys().copied()).collect();
            let mut ids = Vec::new();
            for (module, name) in self.world.changeable.used_by(at, &self.world.mentions, &given) {
                if let Some(id) = self.of_constants.get(&(module as usize, name)) {
                    ids.push(*id);
                    continue;
                }
                let Some(value) = constants::digest(module, symbol(name)) else { continue };
                let table = jl_method_table_for((*mi).specTypes);
                if table.is_null() || table == jl_sys::jl_nothing {
                    let detail = "a function without a method table".to_owned();
                    return Err(Undescribable { reason: Reason::EdgesUnknown, detail });
                }
                let table = self.table(table.cast(), describer)?;
                let target = EdgeTarget::Constant(describer.describe(module.cast())?);
                let methods = vec![
                    describer.describe(symbol(name).cast())?,
                    describer.describe(jl_sys::jl_box_uint64(value))?,
                ];
                let id = describer.image.edge(Edge { table, target, methods })?;
                self.of_constants.insert((module as usize, name), id);
                ids.push(id);
            }
            Ok(ids)
        }
    }

    /// What of `__init__`'s doings went into the code of `mi`.
    unsafe fn made_at_init(&self, mi: Instance) -> Option<Undescribable> {
        let (made, mentions) = (&self.world.made_at_init, &self.world.mentions);
        // SAFETY: as `Functions::finish`; `mi` is one of a method.
        unsafe {
            if let Some(found) = made.mentioned_by(mi, mentions) {
                return Some(found);
            }
            let detail = made.named_by(mi, mentions)?;
            let named = Undescribable { reason: Reason::MadeAtInit, detail };
            // It may hand the name to what asks.
            let (mut seen, mut stack) = (HashSet::from([mi]), vec![mi]);
            while let Some(at) = stack.pop() {
                if !is((*at).def.value, jl_sys::jl_method_type) || self.in_sysimage(at) {
                    continue;
                }
                if mentions.names(at).contains("isdefined") {
                    return Some(named);
                }
                stack.extend(self.dependencies.of(at).iter().filter_map(|target| match target {
                    Target::Instance(callee) => seen.insert(*callee).then_some(*callee),
                    Target::Signature(_) => None,
                }));
            }
            None
        }
    }

    /// The state that a pure function reads, or may read.
    unsafe fn reads_state(&mut self, pure: Instance) -> Option<String> {
        // SAFETY: as `Functions::finish`.
        unsafe {
            let method = (*pure).def.value.cast::<jl_method_t>();
            let found = self.pure.entry(method).or_insert_with(|| self.states.of_method(method));
            let name = symbol_str((*method).name);
            match &found.reading {
                Reading::Nothing => None,
                Reading::Unknown(what) => Some(format!("{name} may read anything by {what}")),
                Reading::State(what) => Some(format!("{name} reads {what}")),
            }
        }
    }

    /// Is it called by `invoke`, past the method that its types would find? The signature that `invoke` was given
    /// is not known; it finds another method only if one comes that the callee's own method also matches.
    unsafe fn is_invoked(&mut self, callee: Instance) -> bool {
        if let Some(known) = self.invoked.get(&callee) {
            return *known;
        }
        // SAFETY: as `Functions::finish`.
        let invoked = unsafe {
            let method = (*callee).def.value;
            is(method, jl_sys::jl_method_type)
                && matching_methods((*callee).specTypes, self.newest)
                    .is_none_or(|found| found.last() != Some(&method.cast()))
        };
        self.invoked.insert(callee, invoked);
        invoked
    }

    /// The edge to the generator that made the code of `mi`.
    unsafe fn generated(&mut self, mi: Instance, describer: &mut Describer) -> Result<EdgeId, Undescribable> {
        if let Some(known) = self.bodies.get(&mi) {
            return known.clone();
        }
        // SAFETY: as `Functions::finish`.
        let made = unsafe { self.make_generated(mi, describer) };
        self.bodies.insert(mi, made.clone());
        made
    }

    unsafe fn make_generated(
        &mut self,
        mi: Instance,
        describer: &mut Describer,
    ) -> Result<EdgeId, Undescribable> {
        // SAFETY: as `Functions::finish`.
        unsafe {
            let body = body_digest(mi).ok_or_else(|| Undescribable {
                reason: Reason::GeneratedFunction,
                detail: format!("the body of {} holds an object of this process", mi::text(mi)),
            })?;
            let sysimage = &self.world.sysimage.data;
            let method = (*mi).def.value.cast::<jl_method_t>();
            let found = self.generators.entry(method).or_insert_with(|| self.states.of_generator(method));
            let seen = match &found.reading {
                Reading::State(what) => {
                    let detail = format!("its generator, of {}, reads {what}", mi::text(mi));
                    return Err(Undescribable { reason: Reason::GeneratedFunction, detail });
                }
                // Asked again in each session.
                Reading::Unknown(_) => 0,
                Reading::Nothing => {
                    seen_by(mi, describer.origins(), sysimage, &self.world.roots, None).unwrap_or(0)
                }
            };
            let mut numbers = Vec::new();
            for number in [body, seen, self.world.start as u64] {
                numbers.push(describer.describe(jl_sys::jl_box_uint64(number))?);
            }
            let target = EdgeTarget::Generated(describer.describe(mi.cast())?);
            let table = jl_method_table_for((*mi).specTypes);
            if table.is_null() || table == jl_sys::jl_nothing {
                let detail = "a generated function without a method table".to_owned();
                return Err(Undescribable { reason: Reason::EdgesUnknown, detail });
            }
            let table = self.table(table.cast(), describer)?;
            Ok(describer.image.edge(Edge { table, target, methods: numbers })?)
        }
    }

    unsafe fn edge(&mut self, target: Target, describer: &mut Describer) -> Result<EdgeId, Undescribable> {
        if let Some(known) = self.made.get(&target) {
            return known.clone();
        }
        // SAFETY: as `Functions::finish`.
        let made = unsafe { self.make(target, describer) };
        self.made.insert(target, made.clone());
        made
    }

    unsafe fn make(&mut self, target: Target, describer: &mut Describer) -> Result<EdgeId, Undescribable> {
        let unknown = |detail: String| Undescribable { reason: Reason::EdgesUnknown, detail };
        // SAFETY: as `Functions::finish`; targets are live.
        unsafe {
            let signature = target.signature();
            let described = match target {
                Target::Instance(mi) => EdgeTarget::MethodInstance(describer.describe(mi.cast())?),
                Target::Signature(signature) => EdgeTarget::Signature(describer.describe(signature)?),
            };
            let table = jl_method_table_for(signature);
            if table.is_null() || table == jl_sys::jl_nothing {
                return Err(unknown("a call without a method table".to_owned()));
            }
            let table = self.table(table.cast(), describer)?;
            let matches = matching_methods(signature, self.newest)
                .ok_or_else(|| unknown("a call that matches too many methods".to_owned()))?;
            let mut methods = Vec::with_capacity(matches.len());
            for method in matches {
                methods.push(describer.describe(method.cast())?);
            }
            Ok(describer.image.edge(Edge { table, target: described, methods })?)
        }
    }

    /// Lets sessions with the same packages take the tables' digests as proved, if this process has
    /// nothing in them that those could lack.
    unsafe fn note_base_world(&self, describer: &mut Describer) {
        // SAFETY: as `Functions::finish`.
        unsafe {
            let base = base_world(&self.world.tables, &self.world.sysimage);
            let original = |table: &*mut jl_methtable_t| {
                is_original(*table, &self.world.sysimage, describer.origins(), base)
            };
            if self.tables.keys().all(original) {
                describer.image.set_base_world(base as u64);
            }
        }
    }

    unsafe fn table(
        &mut self,
        table: *mut jl_methtable_t,
        describer: &mut Describer,
    ) -> Result<TableId, Undescribable> {
        if let Some(id) = self.tables.get(&table) {
            return Ok(*id);
        }
        let name = self.names.get(&table).copied().ok_or_else(|| Undescribable {
            reason: Reason::EdgesUnknown,
            detail: "a method table without a type name".to_owned(),
        })?;
        // SAFETY: as `Functions::finish`.
        unsafe {
            let typename = describer.describe(name.cast())?;
            let (live, digest) = table_digest(table, &self.world.sysimage, describer.origins());
            let id = describer.image.table(Table { typename, live, digest })?;
            self.tables.insert(table, id);
            Ok(id)
        }
    }
}
