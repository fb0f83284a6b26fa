//! Does code that runs while other code is compiled read state?
//!
//! A generator, and a pure function that inference calls, runs once for a method instance, and what it said stays.
//! If it reads a `Ref` that `__init__` fills, an environment variable or the number of threads, a session would get
//! another answer than the build. So its lowered code is looked through, with that of all it may call in packages;
//! of functions of the sysimage only those on a list are taken to read nothing.
//!
//! A function is taken with all its methods, but for those that no argument of this code can reach: a method for a mutable
//! type of a package counts when the code is seen to make such an object, or to be given one ([`Search::is_reached`]).

use nativecache_mutation::mutation;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use nativecache_julia::handles::{
    CodeInfo, DataType, Expr, GlobalRef, Method, MethodTable, Module, Object, QuoteNode, SVec, Symbol, Text,
    TypeName, TypeVar, Union, UnionAll,
};
use nativecache_julia::stopped::Stopped;

use crate::made_at_init::MadeAtInit;
use crate::sysimage_functions::{harmless, is_in_stateful_module, is_stateful, With};

/// What a piece of code was found to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reading {
    /// Nothing but its arguments, and constants that cannot change.
    Nothing,
    /// This could not be looked through.
    Unknown(String),
    /// This state.
    State(String),
}

/// What was found, and the names of the constants of packages on which the answer rests.
#[derive(Clone, Debug)]
pub(crate) struct Finding<'j> {
    pub(crate) reading: Reading,
    pub(crate) constants: BTreeSet<&'j str>,
}

/// Looks through lowered code.
pub(crate) struct StateReaders<'w, 'j> {
    /// Where the sysimage's objects lie.
    sysimage: &'w Range<usize>,
    made: &'w MadeAtInit<'j>,
    /// Constructors that packages define, by the names of the types that they are for: in Julia's tables they are all
    /// methods of `Type`. Under `None` those of which it is not known what types they are for.
    constructors: HashMap<Option<TypeName<'j>>, Vec<Method<'j>>>,
}

/// One search.
struct Search<'s, 'w, 'j> {
    readers: &'s StateReaders<'w, 'j>,
    /// The package that asks: its methods for functions of the sysimage count.
    root: Module<'j>,
    found: Finding<'j>,
    methods: Vec<Method<'j>>,
    seen_methods: HashSet<Method<'j>>,
    seen_functions: HashSet<TypeName<'j>>,
    /// Methods that wait for an object of a type that nothing seen so far makes.
    waiting: Vec<Method<'j>>,
    /// Names of the packages' types of which there may be objects.
    alive: HashSet<TypeName<'j>>,
    /// What the code is given may be of any type.
    given_anything: bool,
    /// A name that has no value yet. To read it throws, and what throws gives no answer,
    undefined: Option<String>,
    /// unless something catches.
    catches: bool,
}

impl<'w, 'j> StateReaders<'w, 'j> {
    /// `sysimage` is where its objects lie, `made` what `__init__` functions have made.
    pub(crate) fn new(julia: &'j Stopped, sysimage: &'w Range<usize>, made: &'w MadeAtInit<'j>) -> Self {
        let mut constructors: HashMap<_, Vec<Method<'j>>> = HashMap::new();
        for method in MethodTable::of_types(julia).into_iter().flat_map(MethodTable::methods) {
            if !sysimage.contains(&method.address()) {
                for name in constructed(method.signature()) {
                    constructors.entry(name).or_default().push(method);
                }
            }
        }
        Self { sysimage, made, constructors }
    }

    /// What a pure method reads.
    pub(crate) fn of_method(&self, method: Method<'j>) -> Finding<'j> {
        let mut search = self.search(method);
        search.given(method.signature());
        search.add_method(method);
        search.run()
    }

    /// What the generator of a method reads, if it has one.
    pub(crate) fn of_generator(&self, method: Method<'j>) -> Finding<'j> {
        let mut search = self.search(method);
        method.generator().into_iter().for_each(|stub| search.add_generator(stub));
        search.run()
    }

    fn search(&self, method: Method<'j>) -> Search<'_, 'w, 'j> {
        Search {
            readers: self,
            root: method.module().root(),
            found: Finding { reading: Reading::Nothing, constants: BTreeSet::new() },
            methods: Vec::new(),
            seen_methods: HashSet::new(),
            seen_functions: HashSet::new(),
            waiting: Vec::new(),
            alive: HashSet::new(),
            given_anything: false,
            undefined: None,
            catches: false,
        }
    }
}

impl<'j> Search<'_, '_, 'j> {
    fn run(mut self) -> Finding<'j> {
        while !matches!(self.found.reading, Reading::State(_)) {
            let Some(method) = self.methods.pop() else {
                // What was seen meanwhile may make an object that they take.
                let (reached, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|method| {
                    mutation!("state: what waits is not reached", self.is_reached(*method), false)
                });
                (self.methods, self.waiting) = (reached, waiting);
                if self.methods.is_empty() {
                    break;
                }
                continue;
            };
            if let Some(generator) = method.generator() {
                self.add_generator(generator);
            }
            match CodeInfo::of_method(method) {
                Some(code) => self.code(code),
                None if method.generator().is_none() => self.unknown(|| method.name().as_str().to_owned()),
                None => {}
            }
        }
        if let Some(name) =
            self.undefined.take().filter(|_| mutation!("state: nobody catches an error", self.catches, false))
        {
            self.state(name);
        }
        self.found
    }

    fn unknown(&mut self, what: impl FnOnce() -> String) {
        if self.found.reading == Reading::Nothing {
            self.found.reading = Reading::Unknown(what());
        }
    }

    fn state(&mut self, what: String) {
        if !matches!(self.found.reading, Reading::State(_)) {
            self.found.reading = Reading::State(what);
        }
    }

    fn is_of_sysimage(&self, address: usize) -> bool {
        self.readers.sysimage.contains(&address)
    }

    /// What the signature of a pure method lets it be given: inference calls it with any constants that fit, objects of
    /// mutable types among them. (A generator is given types and symbols, and what type parameters hold.)
    fn given(&mut self, signature: Object<'j>) {
        for parameter in arguments(signature) {
            self.given_one(parameter, 0);
        }
    }

    fn given_one(&mut self, ty: Object<'j>, depth: u32) {
        match Accepts::of(ty, self.readers.sysimage) {
            _ if depth > 20 => self.given_anything = true,
            Accepts::Types | Accepts::Plain => {}
            Accepts::Object(name) => {
                self.alive.insert(name);
                self.given_anything |= name.wrapper().data_type().is_none_or(|ty| !holds_nothing(ty));
            }
            Accepts::Either(parts) => parts.into_iter().for_each(|part| self.given_one(part, depth + 1)),
            Accepts::Anything => self.given_anything = true,
        }
    }

    /// Can what this code makes or is given be an argument of the method?
    ///
    /// Objects of immutable types may come out of a type parameter, so only those of mutable types must be seen to be made.
    fn is_reached(&self, method: Method<'j>) -> bool {
        self.given_anything
            || arguments(method.signature()).all(|ty| match Accepts::of(ty, self.readers.sysimage) {
                Accepts::Object(name) => {
                    name.wrapper().data_type().is_none_or(|ty| !ty.is_mutable()) || self.alive.contains(&name)
                }
                _ => true,
            })
    }

    fn add_method(&mut self, method: Method<'j>) {
        if self.seen_methods.insert(method) {
            self.methods.push(method);
        }
    }

    /// The generator is the first field of a GeneratedFunctionStub (boot.jl).
    fn add_generator(&mut self, stub: Object<'j>) {
        let known = stub.type_of().name().as_str() == "GeneratedFunctionStub";
        match stub.reference(0).filter(|_| known) {
            Some(function) => self.called(function.type_of().name()),
            None => self.unknown(|| "a generator of another kind".to_owned()),
        }
    }

    fn code(&mut self, code: CodeInfo<'j>) {
        let mut values: Vec<Option<Object<'j>>> = Vec::new();
        for statement in code.statements().into_iter().flat_map(|statements| statements.places()) {
            let value = self.visit(statement, &values, 0);
            values.push(value);
        }
    }

    /// Looks at a statement or an operand; its value, if that is a constant.
    fn visit(
        &mut self,
        node: Option<Object<'j>>,
        values: &[Option<Object<'j>>],
        depth: u32,
    ) -> Option<Object<'j>> {
        let Some(node) = node.filter(|_| depth <= 200) else {
            self.unknown(|| "code that is too deep".to_owned());
            return None;
        };
        if let Some(expr) = node.as_kind::<Expr<'j>>() {
            return self.expression(expr, values, depth);
        }
        if let Some(at) = node.statement() {
            return values.get(at).copied().flatten();
        }
        if let Some(global) = node.as_kind::<GlobalRef<'j>>() {
            let name = global.name()?;
            let value = self.global(global.module()?, name)?;
            self.value(value, name.as_str());
            return Some(value);
        }
        let literal = match node.as_kind::<QuoteNode<'j>>() {
            Some(quoted) => quoted.value()?,
            None => node,
        };
        let control = ["SlotNumber", "GotoNode", "NewvarNode", "LineNumberNode", "Argument"];
        if control.contains(&literal.type_of().name().as_str()) {
            return None;
        }
        // What is quoted is put into the code that is made.
        if !literal.is::<Expr<'j>>() && !literal.is::<Symbol<'j>>() {
            self.value(literal, "an object in its code");
        }
        Some(literal)
    }

    fn expression(
        &mut self,
        expr: Expr<'j>,
        values: &[Option<Object<'j>>],
        depth: u32,
    ) -> Option<Object<'j>> {
        let args: Vec<Option<Object<'j>>> = expr.argument_places().collect();
        let head = expr.head().as_str();
        self.catches |= head == "enter";
        match head {
            "copyast" | "inert" | "meta" | "static_parameter" | "boundscheck" | "inbounds" | "leave"
            | "enter" | "the_exception" | "pop_exception" | "loopinfo" => {}
            "foreigncall" => self.state("what a C function says".to_owned()),
            "isdefined" => {
                if args.iter().flatten().any(|arg| arg.is::<GlobalRef<'j>>()) {
                    self.state("what is defined".to_owned());
                }
            }
            "method" | "thunk" | "global" | "const" => self.unknown(|| "a definition".to_owned()),
            "=" => {
                let value = args.get(1).and_then(|value| self.visit(*value, values, depth + 1));
                // A module in a variable may be asked for anything.
                if value.is_some_and(|value| value.is::<Module<'j>>()) {
                    self.unknown(|| "a module".to_owned());
                }
            }
            "call" => return self.call(&args, values, depth),
            // A closure may be called by whoever gets it.
            "new" | "splatnew" => {
                let value = args.first().and_then(|ty| self.visit(*ty, values, depth + 1));
                let closure = mutation!("state: a closure is called by nobody", value, None);
                closure.into_iter().for_each(|ty| self.handed_on(ty));
                for arg in args.iter().skip(1) {
                    self.operand(*arg, values, depth);
                }
            }
            _ => {
                for arg in &args {
                    self.operand(*arg, values, depth);
                }
            }
        }
        None
    }

    /// An operand that is used as a value.
    fn operand(
        &mut self,
        arg: Option<Object<'j>>,
        values: &[Option<Object<'j>>],
        depth: u32,
    ) -> Option<Object<'j>> {
        let value = self.visit(arg, values, depth + 1);
        if value.is_some_and(|value| value.is::<Module<'j>>()) {
            self.unknown(|| "a module".to_owned());
        }
        value
    }

    fn call(
        &mut self,
        args: &[Option<Object<'j>>],
        values: &[Option<Object<'j>>],
        depth: u32,
    ) -> Option<Object<'j>> {
        let (function, args) = args.split_first()?;
        if asks_box(*function, args) {
            return None;
        }
        let Some(function) = self.visit(*function, values, depth + 1) else {
            self.unknown(|| "a call of what is not known".to_owned());
            for arg in args {
                self.operand(*arg, values, depth);
            }
            return None;
        };
        let name = if function.is_type() {
            function.type_name().map_or("", TypeName::as_str)
        } else {
            function.type_of().name().as_str().trim_start_matches('#')
        };
        if let ("getproperty" | "getfield", [of, field, ..]) = (name, args) {
            return self.property(*of, *field, values, depth);
        }
        self.called_object(function);
        let does = harmless(name);
        if does == Some(With::Calls) && args.len() > 1 && args[0].is_some_and(is_given) {
            self.unknown(|| format!("what a function that {name} is given does"));
        }
        let mut given = Vec::with_capacity(args.len());
        for arg in args {
            let value = self.operand(*arg, values, depth);
            if does != Some(With::Looks) {
                value.into_iter().for_each(|value| self.handed_on(value));
            }
            given.push(value);
        }
        let gives_type = name == "apply_type";
        gives_type.then(|| given.first().copied().flatten()).flatten()
    }

    /// `of.field`: of a module it is a global.
    fn property(
        &mut self,
        of: Option<Object<'j>>,
        field: Option<Object<'j>>,
        values: &[Option<Object<'j>>],
        depth: u32,
    ) -> Option<Object<'j>> {
        let of = self.visit(of, values, depth + 1);
        let field = self.visit(field, values, depth + 1);
        let module = of?.as_kind::<Module<'j>>()?;
        let Some(name) = field.and_then(Object::as_kind::<Symbol<'j>>) else {
            self.state(format!("a global of {}", module.path()));
            return None;
        };
        let value = self.global(module, name)?;
        self.value(value, name.as_str());
        Some(value)
    }

    /// What is called, a function, a type or an intrinsic. A constant that is a function was looked at as a value.
    fn called_object(&mut self, function: Object<'j>) {
        if function.is_type() {
            match function.type_name() {
                Some(name) => self.called(name),
                None => self.unknown(|| "a union as a function".to_owned()),
            }
        } else if let Some(name) = function.intrinsic_name() {
            // Some read memory or run code of others.
            if is_stateful(name) {
                self.state(format!("what {name} gives"));
            }
        } else if !function.is_function() {
            self.called(function.type_of().name());
        }
    }

    /// A type of a package, which whoever gets it may call.
    fn handed_on(&mut self, value: Object<'j>) {
        let name = value.is_type().then(|| value.type_name()).flatten();
        if let Some(name) = name.filter(|name| !self.is_of_sysimage(name.address())) {
            self.called(name);
        }
    }

    /// The value of a constant.
    fn global(&mut self, module: Module<'j>, name: Symbol<'j>) -> Option<Object<'j>> {
        let text = || format!("{}.{}", module.path(), name.as_str());
        let binding = module.binding(name);
        let Some((binding, value)) = binding.and_then(|binding| Some((binding, binding.value()?))) else {
            self.undefined.get_or_insert_with(text);
            return None;
        };
        if !binding.is_constant() {
            self.state(text());
            return None;
        }
        if self.readers.made.has_constant(name.as_str()) {
            self.state(text());
        }
        Some(value)
    }

    /// A constant that is used as a value, or called.
    fn value(&mut self, value: Object<'j>, name: &'j str) {
        if has_no_fields_to_read(value) || value.is_intrinsic() {
            return;
        }
        let ty = value.type_of();
        if value.is_function() {
            return self.called(ty.name());
        }
        if is_stateful(ty.name().as_str())
            || mutation!("state: mutable constants are constant", is_mutable_within(value, 0), false)
        {
            return self.state(name.to_owned());
        }
        if ty.instance() != Some(value) && !self.is_of_sysimage(value.address()) {
            self.found.constants.insert(name);
        }
    }

    /// A function, by its type's name, or a type that is called.
    fn called(&mut self, name: TypeName<'j>) {
        if !self.seen_functions.insert(name) {
            return;
        }
        self.alive.insert(name);
        let of_sysimage = self.is_of_sysimage(name.address());
        if of_sysimage {
            let text = name.as_str().trim_start_matches('#');
            let module = name.module().path();
            if is_stateful(text) || is_in_stateful_module(&module) {
                return self.state(format!("what {module}.{text} gives"));
            }
            let basic = module == "Core" || module == "Base" || module.starts_with("Base.");
            if !basic || harmless(text).is_none() {
                self.unknown(|| format!("{module}.{text}"));
            }
        }
        for method in self.methods_of(name) {
            // What other packages add to a function of the sysimage is for types of theirs.
            let counts = !self.is_of_sysimage(method.address())
                && (!of_sysimage || method.module().root() == self.root);
            if counts && self.is_reached(method) {
                self.add_method(method);
            } else if counts {
                self.waiting.push(method);
            }
        }
    }

    /// The methods of a function; of a type its constructors, and those of what it is a subtype of.
    fn methods_of(&self, name: TypeName<'j>) -> Vec<Method<'j>> {
        let mut found: Vec<Method<'j>> =
            name.method_table().into_iter().flat_map(MethodTable::methods).collect();
        let mut of = mutation!("state: constructors run nothing", Some(name), None);
        for _ in 0..100 {
            let Some(name) = of else { break };
            found.extend(self.readers.constructors.get(&Some(name)).into_iter().flatten());
            let parent = name.wrapper().data_type().and_then(DataType::supertype);
            of = parent.map(DataType::name).filter(|parent| *parent != name);
        }
        found.extend(self.readers.constructors.get(&None).into_iter().flatten());
        found
    }
}

/// What a parameter of a signature may be given.
enum Accepts<'j> {
    /// Types.
    Types,
    /// Objects of this type of a package, or of its subtypes.
    Object(TypeName<'j>),
    /// Objects of a type of the sysimage that has no subtypes in packages.
    Plain,
    /// What one of these may be given.
    Either(Vec<Object<'j>>),
    /// Any object that a package may have.
    Anything,
}

impl<'j> Accepts<'j> {
    /// What a type, or a type variable, accepts.
    fn of(ty: Object<'j>, sysimage: &Range<usize>) -> Self {
        let ty = bound_of(ty);
        if let Some(union) = ty.as_kind::<Union<'j>>() {
            return Self::Either(union.members().to_vec());
        }
        let Some(ty) = ty.as_kind::<DataType<'j>>() else { return Self::Anything };
        let name = ty.name();
        if name.is_type_of_types() {
            return Self::Types;
        }
        if name.is_vararg() {
            return ty.parameters().get(0).map_or(Self::Anything, |of| Self::Either(vec![of]));
        }
        if name.is_tuple() {
            return Self::Either(ty.parameters().items().collect());
        }
        if !sysimage.contains(&name.address()) {
            return Self::Object(name);
        }
        // What has no fields and no subtypes holds nothing of packages.
        let plain = !ty.is_abstract() && ty.parameters().is_empty();
        if plain && ty.has_layout() && !ty.has_references() {
            return Self::Plain;
        }
        Self::Anything
    }
}

/// The names of the types that a constructor with this signature is for; `None` among them if that could not be found out.
fn constructed(signature: Object<'_>) -> HashSet<Option<TypeName<'_>>> {
    let mut found = HashSet::new();
    let mut pending: Vec<(Object<'_>, bool)> =
        parameters(signature).and_then(|all| all.get(0)).map(|first| (first, false)).into_iter().collect();
    if pending.is_empty() {
        found.insert(None);
    }
    let mut steps = 0;
    while let Some((ty, within)) = pending.pop() {
        steps += 1;
        if steps > 100 {
            found.insert(None);
            break;
        }
        let ty = bound_of(ty);
        if let Some(union) = ty.as_kind::<Union<'_>>() {
            pending.extend(union.members().map(|member| (member, within)));
            continue;
        }
        match ty.as_kind::<DataType<'_>>() {
            Some(ty) if within => _ = found.insert(Some(ty.name())),
            Some(ty) if ty.name().is_type_of_types() => match ty.parameters().get(0) {
                Some(of) => pending.push((of, true)),
                None => _ = found.insert(None),
            },
            // Of `DataType`, `UnionAll` or another kind.
            _ => _ = found.insert(None),
        }
    }
    found
}

/// What a type with variables, or a variable, says at most: the type within, or its upper bound.
fn bound_of(mut ty: Object<'_>) -> Object<'_> {
    for _ in 0..40 {
        if let Some(all) = ty.as_kind::<UnionAll<'_>>() {
            ty = all.body();
        } else if let Some(variable) = ty.as_kind::<TypeVar<'_>>() {
            [_, ty] = variable.bounds();
        } else {
            break;
        }
    }
    ty
}

/// The parameters of a method's signature, which is a tuple type, perhaps within `where`s.
fn parameters(signature: Object<'_>) -> Option<SVec<'_>> {
    signature.data_type().map(DataType::parameters)
}

/// The parameters of a method's signature but for the first, which is the function.
fn arguments(signature: Object<'_>) -> impl Iterator<Item = Object<'_>> {
    parameters(signature).into_iter().flat_map(SVec::items).skip(1)
}

/// Can objects of this type, whatever its parameters, hold no other object?
fn holds_nothing(ty: DataType<'_>) -> bool {
    let Some(types) = ty.known_field_types().filter(|_| !ty.is_abstract()) else { return false };
    types.is_empty() || (ty.has_layout() && !ty.has_references())
}

/// Is this operand a variable or type parameter, which may hold any function?
fn is_given(operand: Object<'_>) -> bool {
    let is_parameter =
        operand.as_kind::<Expr<'_>>().is_some_and(|expr| expr.head().as_str() == "static_parameter");
    is_parameter || is_slot(operand)
}

/// Is it a variable of lowered code?
fn is_slot(operand: Object<'_>) -> bool {
    operand.type_of().name().as_str() == "SlotNumber"
}

/// `Core.isdefined(box, :contents)`: what lowering makes of a captured variable that may have no value yet. Written in source,
/// `isdefined` is a name of the module that it stands in, and `Core.isdefined` a `getproperty`.
fn asks_box<'j>(function: Option<Object<'j>>, args: &[Option<Object<'j>>]) -> bool {
    let (Some(function), [Some(of), Some(field)]) = (function, args) else { return false };
    let function = function.as_kind::<GlobalRef<'j>>();
    let field = field.as_kind::<QuoteNode<'j>>().and_then(QuoteNode::value);
    function.and_then(GlobalRef::module).is_some_and(Module::is_core)
        && function.and_then(GlobalRef::name).is_some_and(|name| name.as_str() == "isdefined")
        && field.and_then(Object::as_kind::<Symbol<'j>>).is_some_and(|name| name.as_str() == "contents")
        && (of.statement().is_some() || is_slot(*of))
}

/// Is it a type, a symbol, a string or a module? They say what they are, and do not change.
fn has_no_fields_to_read(value: Object<'_>) -> bool {
    value.is_type() || value.is::<Symbol<'_>>() || value.is::<Text<'_>>() || value.is::<Module<'_>>()
}

/// Is it mutable, or does it hold what is?
fn is_mutable_within(value: Object<'_>, depth: u32) -> bool {
    if depth > 12 {
        return true;
    }
    if has_no_fields_to_read(value) {
        return false;
    }
    if let Some(items) = value.as_kind::<SVec<'_>>() {
        return items.places().any(|item| item.is_none_or(|item| is_mutable_within(item, depth + 1)));
    }
    let ty = value.type_of();
    let Some(count) = ty.field_count().filter(|_| !ty.is_mutable()) else { return true };
    (0..u32::try_from(count).unwrap_or(u32::MAX)).any(|index| match ty.field(index) {
        Some(field) if field.is_reference => {
            value.reference(index).is_none_or(|part| is_mutable_within(part, depth + 1))
        }
        Some(_) => holds_references(ty, index),
        None => true,
    })
}

/// Is this inline field one that holds references, which are not looked through?
fn holds_references(ty: DataType<'_>, index: u32) -> bool {
    let field = ty.known_field_types().and_then(|types| types.get(index as usize));
    field.and_then(Object::as_kind::<DataType<'_>>).is_some_and(DataType::has_references)
}
