//! Does what cached code depends on still hold? Asked when a library is linked, before anything of it
//! is installed.
//!
//! Per method table one digest is compared; only in tables that differ each edge is looked at, once,
//! as Julia does for precompile files (dump.c, `jl_verify_edges`): the methods that match now must be
//! those that matched at build. A function is valid if all its edges hold and all functions of the
//! library that it relies on are valid.

use std::cell::Cell;
use std::collections::HashSet;

use nativecache_image::{EdgeId, EdgeRef, EdgeTarget, FunctionId, Image, NodeId, PackageId, TableId};
use nativecache_julia::handles::{Method, MethodInstance, Module, Object, Symbol, TypeName};
use nativecache_julia::sysimage::Sysimage;
use nativecache_mutation::mutation;
use smallvec::SmallVec;

use crate::edges::constants;
use crate::edges::generator::{body_digest, seen_by};
use crate::edges::table_growth;
use crate::edges::tables::MethodTables;
use crate::load::moment::Moment;
use crate::load::state::{EdgeChange, MethodPlace, Obstacle, Refusal};
use crate::objects::resolve::Resolver;

/// Does a function, or an edge, hold? If not, why.
pub(crate) type Verdict = Result<(), Obstacle>;

/// What became of a method table since the build.
enum Standing<'j> {
    /// It has the methods that it had.
    Same,
    /// These methods were added, and nothing else.
    Grown(Vec<Method<'j>>),
    /// Anything may have happened to it.
    Changed,
}

/// What the functions of one image are verified against.
#[derive(Clone, Copy)]
pub(crate) struct Session<'a, 'j> {
    /// What is loaded, and the world in which the functions are to hold.
    pub(crate) moment: &'a Moment<'j>,
    /// The method tables in that world.
    pub(crate) tables: &'a MethodTables<'j>,
    /// The sysimage, unless it has no native code.
    pub(crate) sysimage: Option<&'a Sysimage>,
    /// A package of the image that is not loaded.
    pub(crate) missing: Option<PackageId>,
    /// May generators run? For one, Julia may have to compile what the library holds.
    pub(crate) ask_generators: bool,
}

/// Verifies the functions of one image in one world.
pub(crate) struct Verifier<'a, 'j> {
    image: Image<'a>,
    resolver: &'a Resolver,
    session: Session<'a, 'j>,
    /// A verdict waits for a generator.
    unasked: Cell<bool>,
    tables: Vec<Standing<'j>>,
    edges: Vec<Option<Verdict>>,
    /// For each node, whether it is the method instance of a function of the library.
    own: Vec<bool>,
}

impl<'a, 'j> Verifier<'a, 'j> {
    /// Compares the digests of all tables.
    pub(crate) fn new(image: Image<'a>, resolver: &'a Resolver, session: Session<'a, 'j>) -> Self {
        let mut own = vec![false; image.node_count() as usize];
        for (_, function) in image.functions() {
            if let Some(place) = own.get_mut(function.method_instance.index()) {
                *place = true;
            }
        }
        let mut verifier = Verifier {
            image,
            resolver,
            session,
            unasked: Cell::new(false),
            tables: Vec::new(),
            edges: vec![None; image.edge_count() as usize],
            own,
        };
        let packages = match session.tables.are_as_at_build() {
            true => HashSet::new(),
            false => table_growth::packages_of_build(&image),
        };
        verifier.tables =
            (0..image.table_count()).map(|table| verifier.standing(TableId(table), &packages)).collect();
        verifier
    }

    fn standing(&self, id: TableId, packages: &HashSet<&str>) -> Standing<'j> {
        if self.session.tables.are_as_at_build() {
            return Standing::Same;
        }
        let Ok(table) = self.image.table(id) else { return Standing::Changed };
        let name = self.object(table.typename).ok().and_then(Object::as_kind::<TypeName<'j>>);
        let Some(methods) = name.and_then(TypeName::method_table) else { return Standing::Changed };
        let (scan, origins) = (self.session.tables.scan(methods), self.resolver.origins());
        let same = scan.live == table.live && scan.digest(origins) == table.digest;
        if mutation!("edges: every table counts as unchanged", same, true) {
            return Standing::Same;
        }
        table_growth::added(&scan, &table, packages, origins).map_or(Standing::Changed, Standing::Grown)
    }

    /// Was a function left out because its generator may not run?
    pub(crate) fn has_unasked(&self) -> bool {
        self.unasked.get()
    }

    /// The verdict on every function, in order. Those that verify mode has `refused` are not even looked at.
    pub(crate) fn functions(&mut self, refused: &[FunctionId]) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> = (0..self.image.function_count())
            .map(FunctionId)
            .map(|function| {
                let is_refused = refused.contains(&function);
                match mutation!("verify mode: what differs is used", is_refused, false) {
                    true => Err(Refusal::Different.into()),
                    false => self.own_edges(function),
                }
            })
            .collect();
        self.reject_callers(&mut verdicts);
        verdicts
    }

    /// What relies on a function that does not hold does not hold either.
    fn reject_callers(&self, verdicts: &mut [Verdict]) {
        let mut invalid: Vec<u32> =
            (0u32..).zip(&*verdicts).filter(|(_, v)| v.is_err()).map(|(i, _)| i).collect();
        let callers = if invalid.is_empty() { Vec::new() } else { self.callers() };
        while let Some(index) = invalid.pop() {
            let because = match &verdicts[index as usize] {
                // What waits makes its callers wait for the same package.
                Err(Obstacle::Waiting(package)) => Obstacle::Waiting(*package),
                _ => Refusal::DependsOn(self.text_of(FunctionId(index))).into(),
            };
            for caller in &callers[index as usize] {
                let verdict = &mut verdicts[*caller as usize];
                if mutation!("edges: callers of what is rejected stay", verdict.is_ok(), false) {
                    *verdict = Err(because.clone());
                    invalid.push(*caller);
                }
            }
        }
    }

    /// For each function, those that rely on it.
    fn callers(&self) -> Vec<Vec<u32>> {
        let mut callers = vec![Vec::new(); self.image.function_count() as usize];
        for (id, function) in self.image.functions() {
            for on in function.depends.iter() {
                if let Some(list) = callers.get_mut(on.index()) {
                    list.push(id.0);
                }
            }
        }
        callers
    }

    fn own_edges(&mut self, id: FunctionId) -> Verdict {
        let Ok(function) = self.image.function(id) else { return Err(Refusal::Malformed(None).into()) };
        function.edges.iter().try_for_each(|edge| self.edge(edge))
    }

    /// The verdict on an edge, which many functions may have.
    fn edge(&mut self, id: EdgeId) -> Verdict {
        match self.edges.get(id.index()) {
            Some(Some(Ok(()))) => return Ok(()),
            Some(Some(verdict)) => return verdict.clone(),
            _ => {}
        }
        let verdict = match self.image.edge(id) {
            Ok(edge) => self.check(&edge),
            Err(error) => Err(error.into()),
        };
        if let Some(place) = self.edges.get_mut(id.index()) {
            *place = Some(verdict.clone());
        }
        verdict
    }

    fn check(&self, edge: &EdgeRef<'_>) -> Verdict {
        match edge.target {
            EdgeTarget::MethodInstance(node) => {
                let instance = self.method_instance(node)?;
                self.check_sysimage_code(node, instance)?;
                self.check_call(instance.types(), edge)
            }
            EdgeTarget::Signature(node) => self.check_call(self.object(node)?, edge),
            EdgeTarget::Generated(node) => self.check_generated(node, edge),
            EdgeTarget::Constant(node) => self.check_constant(node, edge),
        }
    }

    /// Do the methods match that matched at build?
    fn check_call(&self, signature: Object<'j>, edge: &EdgeRef<'_>) -> Verdict {
        let mut expected: SmallVec<[Object<'j>; 4]> = SmallVec::new();
        for method in edge.methods.iter() {
            expected.push(self.object(method)?);
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
        if let Some(package) = self.session.missing {
            return Err(Obstacle::Waiting(package));
        }
        let found = Method::matching(signature, self.session.moment.world);
        match found {
            Some(found) if mutation!("edges: any methods will do", same_set(&found, &expected), true) => {
                Ok(())
            }
            found => Err(difference(signature, &expected, found.as_deref()).into()),
        }
    }

    /// Is a constant what it was?
    fn check_constant(&self, node: NodeId, edge: &EdgeRef<'_>) -> Verdict {
        let malformed = || Obstacle::from(Refusal::Malformed(None));
        let module = self.object(node)?;
        let mut parts = edge.methods.iter();
        let (Some(name), Some(then)) = (parts.next(), parts.next()) else { return Err(malformed()) };
        let (name, then) = (self.object(name)?, self.object(then)?);
        let (Some(module), Some(name), Some(then)) =
            (module.as_kind::<Module<'j>>(), name.as_kind::<Symbol<'j>>(), then.as_u64())
        else {
            return Err(malformed());
        };
        let same = constants::digest(module, name) == Some(then);
        if mutation!("constants: they stay what they were", same, true) {
            return Ok(());
        }
        Err(Refusal::ConstantChanged { module: module.path(), name: name.as_str().to_owned() }.into())
    }

    /// Would Julia generate the body that was compiled?
    fn check_generated(&self, node: NodeId, edge: &EdgeRef<'_>) -> Verdict {
        let instance = self.method_instance(node)?;
        let mut numbers = [0u64; 3];
        for (number, node) in numbers.iter_mut().zip(edge.methods.iter()) {
            *number = self.object(node)?.as_u64().unwrap_or(0);
        }
        let [body, seen, start] = numbers;
        if self.generator_sees_the_same(instance, seen, start) {
            return Ok(());
        }
        if !self.session.ask_generators {
            self.unasked.set(true);
            return Err(Refusal::GeneratorNotAsked(instance.types().type_text()).into());
        }
        // SAFETY: no lock is held, as the moment proves; what a generator defines, if anything, is in a later world.
        let now = unsafe { body_digest(self.session.moment.julia, instance) };
        if mutation!("generated: any body will do", now == Some(body), true) {
            return Ok(());
        }
        Err(EdgeChange::OtherBody(instance.types().type_text()).into())
    }

    /// Were the same packages restored before that of a generated function, in a session that has done nothing else before?
    /// `seen` is their digest at build, `start` the world in which the build began; 0 if unknown.
    fn generator_sees_the_same(&self, instance: MethodInstance<'j>, seen: u64, start: u64) -> bool {
        if seen == 0 || start == 0 {
            return false;
        }
        let (Session { moment, sysimage, .. }, none) = (self.session, 0..0);
        let first = usize::try_from(start).unwrap_or(0).wrapping_add(1);
        let sysimage = sysimage.map_or(&none, |sysimage| &sysimage.data);
        seen_by(instance, self.resolver.origins(), sysimage, &moment.root_modules, Some(first))
            .is_some_and(|now| mutation!("generated: other packages before count as none", now == seen, true))
    }

    /// Code of the sysimage that the library took at its word must still be valid: what it depends on is
    /// not among the library's edges, since Julia itself watches over it.
    fn check_sysimage_code(&self, node: NodeId, instance: MethodInstance<'j>) -> Verdict {
        let is_own = self.own.get(node.index()).copied().unwrap_or(false);
        let (Some(sysimage), false) = (self.session.sysimage, is_own) else { return Ok(()) };
        let world = self.session.moment.world;
        let mut known = false;
        let mut is_valid = None;
        for code in instance.code_instances() {
            let in_sysimage = sysimage.data.contains(&code.address());
            let inferred = code.inferred();
            // Most often the first that is valid is the sysimage's own, whose code Julia keeps, but not for inlining.
            if is_valid.is_none() && code.holds_in(world) {
                is_valid = Some(in_sysimage && inferred.is_some_and(Object::is_nothing));
                if is_valid == Some(true) {
                    return Ok(());
                }
            }
            known |= in_sysimage && inferred.is_some();
        }
        if !known {
            return Ok(());
        }
        match instance.inferred_in(world) {
            Some(now) if sysimage.data.contains(&now.address()) => Ok(()),
            _ => Err(EdgeChange::Invalidated(instance.types().type_text()).into()),
        }
    }

    fn object(&self, node: NodeId) -> Result<Object<'j>, Obstacle> {
        Ok(self.resolver.object(self.session.moment.julia, node)?)
    }

    fn method_instance(&self, node: NodeId) -> Result<MethodInstance<'j>, Obstacle> {
        Ok(self.resolver.instance(self.session.moment.julia, node)?)
    }

    /// The types of a function of the library, for messages.
    fn text_of(&self, id: FunctionId) -> String {
        let function = self.image.function(id).ok();
        let instance = function.and_then(|function| self.method_instance(function.method_instance).ok());
        instance.map_or_else(String::new, |instance| instance.types().type_text())
    }
}

fn same_set(found: &[Method<'_>], expected: &[Object<'_>]) -> bool {
    found.len() == expected.len() && found.iter().all(|method| expected.contains(&method.object()))
}

/// How the methods that match a call differ from those that are expected; `None` if Julia cannot tell which match.
fn difference(signature: Object<'_>, expected: &[Object<'_>], found: Option<&[Method<'_>]>) -> EdgeChange {
    let call = signature.type_text();
    let Some(found) = found else { return EdgeChange::Unresolvable(call) };
    if let Some(new) = found.iter().find(|method| !expected.contains(&method.object())) {
        return EdgeChange::ResolvesTo(call, place_of(*new));
    }
    let mut gone = expected.iter().filter(|old| !found.iter().any(|method| method.object() == **old));
    match gone.next().and_then(|old| old.as_kind()) {
        Some(old) => EdgeChange::ResolvesNoMoreTo(call, place_of(old)),
        None => EdgeChange::ResolvesOtherwise(call),
    }
}

fn place_of(method: Method<'_>) -> MethodPlace {
    MethodPlace {
        module: method.module().path(),
        name: method.name().as_str().to_owned(),
        file: method.file().map_or("", Symbol::as_str).to_owned(),
        line: method.line(),
    }
}
