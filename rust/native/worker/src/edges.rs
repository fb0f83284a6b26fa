//! Step 5 of a build: the functions of an image with their edges, those that have code, and those that inference looked
//! at on the way, whose edges must hold as well.

use nativecache_mutation::mutation;
use std::collections::{HashMap, HashSet};

use nativecache_image::{
    Edge, EdgeId, EdgeTarget, Function, FunctionId, Invoke, NodeId, Reason, Table, TableId,
};
use nativecache_julia::handles::{
    make, CodeInstance, Method, MethodInstance, MethodTable, Module, Object, Symbol, TypeName,
};
use nativecache_runtime::edges::record::{table_digest, table_names, Dependencies, Target};
use nativecache_runtime::edges::{constants, generator, untouched};
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::objects::describe::Describer;

use crate::error::BuildError;
use crate::instance_text::instance_text;
use crate::reads_state::{Finding, Reading, StateReaders};
use crate::status::{skip, Refusal, Status};
use crate::world::{returns_constant, World};

/// Functions on their way into an image.
#[derive(Default)]
pub(crate) struct Functions<'j> {
    list: Vec<(MethodInstance<'j>, Function)>,
    index: HashMap<MethodInstance<'j>, usize>,
    /// Results of inference that could not be described: a session has to find them again.
    not_kept: u32,
}

/// What [`Functions::finish`] wrote.
pub(crate) struct Finished<'j> {
    /// The numbers of the method instances in the image.
    pub(crate) ids: HashMap<MethodInstance<'j>, FunctionId>,
    /// How many results of inference could not be described.
    pub(crate) not_kept: u32,
}

/// What is needed to turn targets into edges, and what was found so far.
struct EdgeMaker<'w, 'j> {
    world: &'w World<'j>,
    newest: usize,
    dependencies: Dependencies<'j>,
    names: HashMap<MethodTable<'j>, TypeName<'j>>,
    tables: HashMap<MethodTable<'j>, TableId>,
    made: HashMap<Target<'j>, Result<EdgeId, Undescribable>>,
    bodies: HashMap<MethodInstance<'j>, Result<EdgeId, Undescribable>>,
    invoked: HashMap<MethodInstance<'j>, bool>,
    of_constants: HashMap<(Module<'j>, &'j str), EdgeId>,
    pure: HashMap<Method<'j>, Finding<'j>>,
    generators: HashMap<Method<'j>, Finding<'j>>,
    readers: StateReaders<'w, 'j>,
}

/// What the code of one method instance depends on, inlined callees included.
#[derive(Default)]
struct Reached<'j> {
    targets: Vec<Target<'j>>,
    /// Instances whose code a generator makes.
    generated: Vec<MethodInstance<'j>>,
    /// Instances of methods, whose source may mention constants.
    looked_at: Vec<MethodInstance<'j>>,
}

impl<'j> Functions<'j> {
    /// Adds a function that has code, or a constant result.
    pub(crate) fn add(&mut self, instance: MethodInstance<'j>, function: Function) {
        if !self.index.contains_key(&instance) {
            self.index.insert(instance, self.list.len());
            self.list.push((instance, function));
        }
    }

    /// Adds what the functions depend on, and writes all into the image. What cannot be described
    /// completely is left out, with all that relies on it.
    pub(crate) fn finish(
        mut self,
        world: &World<'j>,
        describer: &mut Describer<'j>,
        statuses: &mut [Status<'j>],
    ) -> Result<Finished<'j>, BuildError> {
        let mut maker = EdgeMaker::new(world);
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
        propagate(&mut rejected, &depends);
        for (at, error) in &rejected {
            skip(statuses, self.list[*at].0, &refusal_of(error));
        }
        self.write(&rejected, &depends, describer)
    }

    /// Method instances that inference looked at and that the session will not have from its sysimage:
    /// their edges count too, since what was found about them went into their callers.
    fn add_inferred(&mut self, maker: &EdgeMaker<'_, 'j>, describer: &mut Describer<'j>) {
        let mut seen: HashSet<MethodInstance<'j>> = self.index.keys().copied().collect();
        let mut found: Vec<(String, MethodInstance<'j>)> = Vec::new();
        let mut stack: Vec<MethodInstance<'j>> = self.list.iter().map(|(instance, _)| *instance).collect();
        while let Some(instance) = stack.pop() {
            for target in maker.dependencies.of(instance) {
                let Target::Instance(callee) = *target else { continue };
                if seen.insert(callee) && !maker.in_sysimage(callee) {
                    found.push((instance_text(callee), callee));
                    stack.push(callee);
                }
            }
        }
        // Backedges stand in the order of inference; by name, another process agrees.
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (_, callee) in found {
            // What the .ji brings every session has already.
            let code = callee
                .inferred_in(maker.newest)
                .filter(|code| !maker.world.from_ji.contains(&code.address()));
            let function = code.and_then(|code| inferred(code, maker.world, describer).ok());
            self.not_kept += u32::from(code.is_some() && function.is_none());
            // Without a description it cannot be the target of an edge: its callers go as well.
            if let Some(function) = function.or_else(|| edges_only(callee, maker.world, describer).ok()) {
                self.add(callee, function);
            }
        }
    }

    /// Writes what is left, with the numbers that it has then.
    fn write(
        self,
        rejected: &HashMap<usize, Undescribable>,
        depends: &[Vec<usize>],
        describer: &mut Describer<'j>,
    ) -> Result<Finished<'j>, BuildError> {
        let mut numbers: Vec<Option<u32>> = Vec::new();
        let mut next = 0u32;
        for at in 0..self.list.len() {
            numbers.push((!rejected.contains_key(&at)).then_some(next));
            next += u32::from(!rejected.contains_key(&at));
        }
        let mut ids = HashMap::new();
        for (at, (instance, mut function)) in self.list.into_iter().enumerate() {
            if rejected.contains_key(&at) {
                continue;
            }
            function.depends = depends[at].iter().filter_map(|on| numbers[*on]).map(FunctionId).collect();
            ids.insert(instance, describer.image.function(function)?);
        }
        Ok(Finished { ids, not_kept: self.not_kept })
    }
}

/// What is said of a function whose edges cannot be described.
fn refusal_of(error: &Undescribable) -> Refusal {
    match error.reason {
        Reason::MadeAtInit | Reason::NamesMain | Reason::PureFunction | Reason::GeneratedFunction => {
            error.clone().into()
        }
        _ => Refusal::new(Reason::EdgesUnknown, error.to_string()),
    }
}

/// What inference found about a method instance that has no code in the library: it was inlined wherever it
/// is called, returns a constant, or is only called through the method table.
fn inferred<'j>(
    code: CodeInstance<'j>,
    world: &World<'j>,
    describer: &mut Describer<'j>,
) -> Result<Function, Undescribable> {
    let constant = code.constant().map(|constant| describer.node(constant)).transpose()?;
    let invoke = if returns_constant(code) { Invoke::ConstReturn } else { Invoke::Inferred };
    let inferred = world.describe_inlineable(code, describer)?;
    let (instance, rettype) =
        (describer.node(code.method_instance().into())?, describer.node(code.returns())?);
    let inlineable = inferred.is_some();
    Ok(Function { inferred, inlineable, ..without_code(instance, rettype, constant, invoke) })
}

/// A function of which only the edges count: nothing is claimed about its result.
fn edges_only<'j>(
    instance: MethodInstance<'j>,
    world: &World<'j>,
    describer: &mut Describer<'j>,
) -> Result<Function, Undescribable> {
    let rettype = describer.node(make::any(world.julia))?;
    Ok(without_code(describer.node(instance.into())?, rettype, None, Invoke::EdgesOnly))
}

/// A record without machine code.
pub(crate) fn without_code(
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
fn propagate(rejected: &mut HashMap<usize, Undescribable>, depends: &[Vec<usize>]) {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); depends.len()];
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

impl<'w, 'j> EdgeMaker<'w, 'j> {
    fn new(world: &'w World<'j>) -> Self {
        EdgeMaker {
            world,
            newest: world.julia.world(),
            dependencies: Dependencies::collect(&world.methods, &world.tables),
            names: table_names(&world.modules),
            tables: HashMap::new(),
            made: HashMap::new(),
            bodies: HashMap::new(),
            invoked: HashMap::new(),
            of_constants: HashMap::new(),
            pure: HashMap::new(),
            generators: HashMap::new(),
            readers: StateReaders::new(world.julia, &world.sysimage.data, &world.made_at_init),
        }
    }

    /// Has the sysimage code for it that is still valid? Julia itself then watches over what that depends on.
    fn in_sysimage(&self, instance: MethodInstance<'j>) -> bool {
        let code = instance.inferred_in(self.newest);
        code.is_some_and(|code| self.world.sysimage.data.contains(&code.address()))
    }

    /// The edges of one method instance, and the functions of the image that it relies on.
    fn edges(
        &mut self,
        instance: MethodInstance<'j>,
        functions: &HashMap<MethodInstance<'j>, usize>,
        describer: &mut Describer<'j>,
    ) -> (Result<Vec<EdgeId>, Undescribable>, Vec<usize>) {
        let reached = match self.reach(instance, functions) {
            Ok(reached) => reached,
            Err(error) => return (Err(error), Vec::new()),
        };
        let function = |target: &Target<'j>| match target {
            Target::Instance(callee) => functions.get(callee).copied(),
            Target::Signature(_) => None,
        };
        let mut on: Vec<usize> = reached.targets.iter().filter_map(function).collect();
        on.sort_unstable();
        on.dedup();
        (self.edges_to(reached, instance, describer), on)
    }

    /// Walks from `instance` to all that went into its code, up to what has a record of its own in `functions`.
    fn reach(
        &mut self,
        instance: MethodInstance<'j>,
        functions: &HashMap<MethodInstance<'j>, usize>,
    ) -> Result<Reached<'j>, Undescribable> {
        let mut reached = Reached::default();
        let mut seen: HashSet<MethodInstance<'j>> = HashSet::from([instance]);
        let mut stack = vec![instance];
        while let Some(at) = stack.pop() {
            let of_method = at.method().is_some();
            if let Some(error) = of_method.then(|| self.made_at_init(at)).flatten() {
                return Err(error);
            }
            if of_method {
                reached.looked_at.push(at);
            }
            if generator::is_generated(at, &self.world.sysimage.data) {
                reached.generated.push(at);
            }
            let pure = mutation!("edges: what inference calls itself needs none", of_method, false)
                .then(|| self.world.pure.called_by(at, &self.world.mentions));
            for called in pure.iter().flatten() {
                if let Some(detail) =
                    mutation!("state: pure functions may read it", self.reads_state(*called), None)
                {
                    return Err(Undescribable { reason: Reason::PureFunction, detail });
                }
            }
            let called = pure.into_iter().flatten().map(Target::Instance);
            for target in self.dependencies.of(at).iter().copied().chain(called).collect::<Vec<_>>() {
                reached.targets.push(target);
                let Target::Instance(callee) = target else { continue };
                let invoked = mutation!(
                    "edges: what invoke calls counts as dispatched",
                    self.invoked_method(callee),
                    None
                );
                reached.targets.extend(invoked.map(|method| Target::Signature(method.signature())));
                if functions.contains_key(&callee) || !seen.insert(callee) {
                    continue;
                }
                if !self.in_sysimage(callee) {
                    stack.push(callee);
                }
            }
        }
        Ok(reached)
    }

    /// The edges to what went into the code of `instance`, each once.
    fn edges_to(
        &mut self,
        reached: Reached<'j>,
        instance: MethodInstance<'j>,
        describer: &mut Describer<'j>,
    ) -> Result<Vec<EdgeId>, Undescribable> {
        let mut edges = Vec::new();
        for target in reached.targets {
            edges.push(self.edge(target, describer)?);
        }
        for generated in reached.generated {
            edges.push(self.generated(generated, describer)?);
        }
        for at in reached.looked_at {
            edges.extend(self.constants(at, instance, describer)?);
        }
        edges.sort_unstable();
        edges.dedup();
        Ok(edges)
    }

    /// The edges to constants on which the code of `at` rests, which went into that of `instance`.
    fn constants(
        &mut self,
        at: MethodInstance<'j>,
        instance: MethodInstance<'j>,
        describer: &mut Describer<'j>,
    ) -> Result<Vec<EdgeId>, Undescribable> {
        let Some(method) = at.method() else { return Ok(Vec::new()) };
        let julia = self.world.julia;
        let asked = self.generators.get(&method).into_iter().chain(self.pure.get(&method));
        let given: Vec<&'j str> = asked.flat_map(|found| found.constants.iter().copied()).collect();
        let mut ids = Vec::new();
        for (module, name) in self.world.changeable.used_by(julia, at, &self.world.mentions, &given) {
            if let Some(id) = self.of_constants.get(&(module, name)) {
                ids.push(*id);
                continue;
            }
            let symbol = Symbol::new(julia, name);
            let Some(value) = constants::digest(module, symbol) else { continue };
            let table = self.table_of(instance.types(), "a function without a method table", describer)?;
            let target = EdgeTarget::Constant(describer.node(module.into())?);
            let methods = vec![describer.node(symbol.into())?, describer.node(make::box_u64(julia, value))?];
            let id = describer.image.edge(Edge { table, target, methods })?;
            self.of_constants.insert((module, name), id);
            ids.push(id);
        }
        Ok(ids)
    }

    /// What of `__init__`'s doings went into the code of `instance`, of a method.
    fn made_at_init(&self, instance: MethodInstance<'j>) -> Option<Undescribable> {
        let (made, mentions) = (&self.world.made_at_init, &self.world.mentions);
        if let Some(found) =
            mutation!("init: what __init__ binds is kept", made.mentioned_by(instance, mentions), None)
        {
            return Some(found);
        }
        let detail = made.named_by(instance, mentions)?;
        let named = Undescribable { reason: Reason::MadeAtInit, detail };
        // It may hand the name to what asks.
        let (mut seen, mut stack) = (HashSet::from([instance]), vec![instance]);
        while let Some(at) = stack.pop() {
            let ends = at.method().is_none() || self.in_sysimage(at);
            if mutation!("init: only what asks itself counts", ends, ends || at != instance) {
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

    /// The state that a pure function reads, or may read.
    fn reads_state(&mut self, pure: MethodInstance<'j>) -> Option<String> {
        let method = pure.method()?;
        let found = self.pure.entry(method).or_insert_with(|| self.readers.of_method(method));
        let name = method.name().as_str();
        match &found.reading {
            Reading::Nothing => None,
            Reading::Unknown(what) => Some(format!("{name} may read anything by {what}")),
            Reading::State(what) => Some(format!("{name} reads {what}")),
        }
    }

    /// The method of `callee`, if it is called by `invoke`, past the method that its types would find. The signature that
    /// `invoke` was given is not known; it finds another method only if one comes that the callee's own method also matches.
    fn invoked_method(&mut self, callee: MethodInstance<'j>) -> Option<Method<'j>> {
        let method = callee.method()?;
        let newest = self.newest;
        let invoked = *self.invoked.entry(callee).or_insert_with(|| {
            let found = Method::matching(callee.types(), newest);
            found.is_none_or(|found| found.last() != Some(&method))
        });
        invoked.then_some(method)
    }

    /// The edge to the generator that made the code of `instance`.
    fn generated(
        &mut self,
        instance: MethodInstance<'j>,
        describer: &mut Describer<'j>,
    ) -> Result<EdgeId, Undescribable> {
        if let Some(known) = self.bodies.get(&instance) {
            return known.clone();
        }
        let made = self.make_generated(instance, describer);
        self.bodies.insert(instance, made.clone());
        made
    }

    fn make_generated(
        &mut self,
        instance: MethodInstance<'j>,
        describer: &mut Describer<'j>,
    ) -> Result<EdgeId, Undescribable> {
        let refused = |detail| Undescribable { reason: Reason::GeneratedFunction, detail };
        // SAFETY: in a build process nothing else runs, and what the generator reads is looked at below.
        let body = unsafe { generator::body_digest(self.world.julia, instance) }.ok_or_else(|| {
            refused(format!("the body of {} holds an object of this process", instance_text(instance)))
        })?;
        let reading = instance.method().map(|method| {
            let found = self.generators.entry(method).or_insert_with(|| self.readers.of_generator(method));
            &found.reading
        });
        let seen = match reading {
            Some(Reading::State(_)) if mutation!("state: generators may read it", false, true) => 0,
            Some(Reading::State(what)) => {
                let text = instance_text(instance);
                return Err(refused(format!("its generator, of {text}, reads {what}")));
            }
            // Asked again in each session.
            Some(Reading::Unknown(_)) | None => 0,
            Some(Reading::Nothing) => {
                let World { sysimage, roots, .. } = self.world;
                generator::seen_by(instance, describer.origins(), &sysimage.data, roots, None).unwrap_or(0)
            }
        };
        let mut numbers = Vec::new();
        for number in [body, seen, self.world.start as u64] {
            numbers.push(describer.node(make::box_u64(self.world.julia, number))?);
        }
        let target = EdgeTarget::Generated(describer.node(instance.into())?);
        let without = "a generated function without a method table";
        let table = self.table_of(instance.types(), without, describer)?;
        Ok(describer.image.edge(Edge { table, target, methods: numbers })?)
    }

    fn edge(&mut self, target: Target<'j>, describer: &mut Describer<'j>) -> Result<EdgeId, Undescribable> {
        if let Some(known) = self.made.get(&target) {
            return known.clone();
        }
        let made = self.make(target, describer);
        self.made.insert(target, made.clone());
        made
    }

    fn make(&mut self, target: Target<'j>, describer: &mut Describer<'j>) -> Result<EdgeId, Undescribable> {
        let signature = target.signature();
        let described = match target {
            Target::Instance(instance) => EdgeTarget::MethodInstance(describer.node(instance.into())?),
            Target::Signature(signature) => EdgeTarget::Signature(describer.node(signature)?),
        };
        let table = self.table_of(signature, "a call without a method table", describer)?;
        let matches = Method::matching(signature, self.newest)
            .ok_or_else(|| unknown("a call that matches too many methods"))?;
        let mut methods = Vec::with_capacity(matches.len());
        for method in matches {
            methods.push(describer.node(method.into())?);
        }
        Ok(describer.image.edge(Edge { table, target: described, methods })?)
    }

    /// Lets sessions with the same packages take the tables' digests as proved, if this process has
    /// nothing in them that those could lack.
    fn note_base_world(&self, describer: &mut Describer<'j>) {
        let World { tables, sysimage, .. } = self.world;
        let base = untouched::base_world(tables, sysimage);
        let original =
            |table: &MethodTable<'j>| untouched::is_original(*table, sysimage, describer.origins(), base);
        if self.tables.keys().all(original) {
            describer.image.set_base_world(base as u64);
        }
    }

    /// The number of the table in which methods with this signature are; `without` says what there is if there is none.
    fn table_of(
        &mut self,
        signature: Object<'j>,
        without: &str,
        describer: &mut Describer<'j>,
    ) -> Result<TableId, Undescribable> {
        let table = MethodTable::of_signature(signature).ok_or_else(|| unknown(without))?;
        if let Some(id) = self.tables.get(&table) {
            return Ok(*id);
        }
        let name = self.names.get(&table).copied();
        let name = name.ok_or_else(|| unknown("a method table without a type name"))?;
        let typename = describer.node(name.into())?;
        let (live, digest) = table_digest(table, &self.world.sysimage, describer.origins());
        let id = describer.image.table(Table { typename, live, digest })?;
        self.tables.insert(table, id);
        Ok(id)
    }
}

fn unknown(detail: &str) -> Undescribable {
    Undescribable { reason: Reason::EdgesUnknown, detail: detail.to_owned() }
}
