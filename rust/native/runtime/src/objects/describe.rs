//! Describes objects in the build process. The inverse is [`crate::objects::resolve`].
//!
//! Each object is described once, by what identifies it: a name, a path, or its contents if contents are identity
//! (`===`). An object without any of these is an error with a reason, never a guess.

use nativecache_image::{Builtin, ImageBuilder, Node, NodeId, Package, PackageId, Reason};
use nativecache_julia::handles::{
    Array, CodeInfo, CodeInstance, DataType, Expr, Method, MethodInstance, MethodTable, Module, Object, SVec,
    Symbol, Text, TypeName, TypeVar, Union, UnionAll,
};
use nativecache_julia::object_paths::{Path, Paths};
use nativecache_julia::origin::Origins;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::{Places, Sysimage};
use rustc_hash::FxHashMap;

use crate::error::Undescribable;

mod inferred_code;

type Described = Result<NodeId, Undescribable>;

/// Describes objects into one image.
pub struct Describer<'j> {
    /// The image that is being built.
    pub image: ImageBuilder,
    julia: &'j Stopped,
    paths: Paths<'j>,
    memo: FxHashMap<Object<'j>, Described>,
    packages: FxHashMap<Module<'j>, PackageId>,
    sysimage_modules: Vec<Module<'j>>,
    origins: Origins,
    /// The objects of the sysimage that are described by their position.
    places: Places,
    type_vars: u32,
    world: usize,
}

fn fail(reason: Reason, detail: impl Into<String>) -> Described {
    Err(Undescribable { reason, detail: detail.into() })
}

/// An error about an object that another session could not find; it names the object's type.
fn fail_of_type(reason: Reason, what: &str, object: Object<'_>) -> Described {
    fail(reason, format!("{what} of type {}", object.type_of().object().type_text()))
}

impl<'j> Describer<'j> {
    /// For the current world. `sysimage_modules` are the root modules that existed before any package was loaded.
    pub fn new(
        julia: &'j Stopped,
        paths: Paths<'j>,
        sysimage_modules: Vec<Module<'j>>,
        sysimage: &Sysimage,
    ) -> Self {
        Describer {
            image: ImageBuilder::new(),
            julia,
            paths,
            memo: FxHashMap::default(),
            packages: FxHashMap::default(),
            sysimage_modules,
            origins: Origins::at_build(sysimage.data.clone()),
            places: Places::of(sysimage),
            type_vars: 0,
            world: julia.world(),
        }
    }

    /// The origins of methods.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The known paths and bindings.
    pub fn paths(&self) -> &Paths<'j> {
        &self.paths
    }

    /// The number of a root module's package.
    ///
    /// # Errors
    /// If there are more packages than an image can hold.
    pub fn package_of(&mut self, root: Module<'j>) -> Result<PackageId, Undescribable> {
        if let Some(id) = self.packages.get(&root) {
            return Ok(*id);
        }
        let package = Package {
            name: root.as_str().to_owned(),
            uuid: root.uuid(),
            build_id: root.build_id(),
            in_sysimage: self.sysimage_modules.contains(&root),
        };
        let id = self.image.package(package)?;
        self.packages.insert(root, id);
        Ok(id)
    }

    /// The node of an object.
    ///
    /// # Errors
    /// If nothing identifies the object, or something in it, in another session.
    pub fn node(&mut self, object: Object<'j>) -> Described {
        if let Some(known) = self.memo.get(&object) {
            return known.clone();
        }
        let described = self.new_node(object);
        self.memo.insert(object, described.clone());
        described
    }

    fn add(&mut self, node: Node) -> Described {
        Ok(self.image.node(node)?)
    }

    /// A new node, even if another one is equal: two mutable objects with equal contents are different objects.
    fn fresh(&mut self, node: &Node) -> Described {
        Ok(self.image.fresh_node(node)?)
    }

    fn all(&mut self, items: SVec<'j>) -> Result<Vec<NodeId>, Undescribable> {
        let undefined = || fail(Reason::UnknownObject, "a vector with an undefined item");
        items.places().map(|item| item.map_or_else(undefined, |item| self.node(item))).collect()
    }

    /// The description by position, if the object is in the sysimage. Objects of these kinds there are never moved, freed or
    /// turned into other objects.
    fn place_of(&self, object: Object<'j>) -> Option<Node> {
        self.places.of_object(object).map(|offset| Node::Sysimage { offset })
    }

    fn new_node(&mut self, object: Object<'j>) -> Described {
        if let Some(method) = object.as_kind::<Method<'j>>() {
            return self.method(method);
        }
        if let Some(node) = self.place_of(object) {
            return self.add(node);
        }
        if object.is_type() {
            return self.ty(object);
        }
        match self.of_named_kind(object) {
            Some(described) => described,
            None => self.of_other_kind(object),
        }
    }

    /// Describes objects of kinds that are always identified by names or contents.
    fn of_named_kind(&mut self, object: Object<'j>) -> Option<Described> {
        let described = if let Some(symbol) = object.as_kind::<Symbol<'j>>() {
            self.add(Node::Symbol(symbol.as_str().to_owned()))
        } else if let Some(module) = object.as_kind() {
            self.module(module)
        } else if let Some(variable) = object.as_kind() {
            self.type_variable(variable)
        } else if let Some(name) = object.as_kind() {
            self.type_name(name)
        } else if let Some(vector) = object.as_kind() {
            self.all(vector).and_then(|items| self.add(Node::SVec { items }))
        } else if let Some(instance) = object.as_kind() {
            self.method_instance(instance)
        } else if let Some(code) = object.as_kind() {
            self.code_instance(code)
        } else {
            let text = object.as_kind::<Text<'j>>()?;
            self.add(Node::String(text.bytes().to_vec()))
        };
        Some(described)
    }

    fn of_other_kind(&mut self, object: Object<'j>) -> Described {
        let ty = object.type_of();
        if ty.instance() == Some(object) {
            let ty = self.node(ty.into())?;
            return self.add(Node::Singleton { ty });
        }
        if let Some(path) = self.paths.find(object) {
            return self.path(path);
        }
        if object.is::<Expr<'j>>() {
            return self.contents_of_code(object);
        }
        if ty.is_mutable() || !ty.has_layout() {
            return fail_of_type(Reason::UnknownConstant, "an object", object);
        }
        match object.bits() {
            Some(bytes) => self.bits(object, bytes),
            None => self.structure(object),
        }
    }

    fn ty(&mut self, ty: Object<'j>) -> Described {
        if ty.is_bottom() {
            return self.add(Node::Builtin(Builtin::Bottom));
        }
        if let Some(name) = ty.type_name().filter(|name| name.wrapper() == ty) {
            let typename = self.node(name.into())?;
            return self.add(Node::Wrapper { typename });
        }
        if let Some(all) = ty.as_kind::<UnionAll<'j>>() {
            let var = self.node(all.variable().into())?;
            let body = self.node(all.body())?;
            return self.add(Node::UnionAll { var, body });
        }
        let Some(data) = ty.as_kind::<DataType<'j>>() else {
            let mut members = Vec::new();
            self.union_members(ty, &mut members)?;
            return self.add(Node::Union { members });
        };
        let params = self.all(data.parameters())?;
        if data.is_tuple() {
            return self.add(Node::Tuple { params });
        }
        let typename = self.node(data.name().into())?;
        self.add(Node::Apply { typename, params })
    }

    fn union_members(&mut self, ty: Object<'j>, out: &mut Vec<NodeId>) -> Result<(), Undescribable> {
        if let Some(union) = ty.as_kind::<Union<'j>>() {
            return union.members().into_iter().try_for_each(|member| self.union_members(member, out));
        }
        out.push(self.node(ty)?);
        Ok(())
    }

    fn type_variable(&mut self, variable: TypeVar<'j>) -> Described {
        let [lower, upper] = variable.bounds();
        let (lb, ub) = (self.node(lower)?, self.node(upper)?);
        let name = variable.name().as_str().to_owned();
        let serial = self.type_vars;
        self.type_vars += 1;
        self.add(Node::TypeVar { name, lb, ub, serial })
    }

    /// Another session finds it through the constant binding of the same name.
    fn type_name(&mut self, name: TypeName<'j>) -> Described {
        let module = name.module();
        let bound = module.constant(name.symbol()).and_then(Object::type_name);
        if bound != Some(name) {
            let detail = format!("type {} is not bound in {}", name.as_str(), module.path());
            return fail(Reason::OpaqueModule, detail);
        }
        if module.is_main() {
            return fail(Reason::NamesMain, format!("type {}", name.as_str()));
        }
        let module = self.node(module.into())?;
        self.add(Node::TypeName { module, name: name.as_str().to_owned() })
    }

    fn module(&mut self, module: Module<'j>) -> Described {
        // Every session has a Main, and code may look for a variable there; what the variable holds is not described. The
        // worker refuses code for which inference found a value of this process in it.
        if module.is_main() {
            return self.add(Node::Builtin(Builtin::MainModule));
        }
        if module.is_root() {
            let package = self.package_of(module)?;
            return self.add(Node::RootModule(package));
        }
        if module.parent().constant(module.symbol()) != Some(module.into()) {
            return fail(Reason::OpaqueModule, format!("module {} is not bound", module.path()));
        }
        if module.root().is_main() {
            return fail(Reason::NamesMain, format!("module {}", module.path()));
        }
        let parent = self.node(module.parent().into())?;
        self.add(Node::Submodule { parent, name: module.as_str().to_owned() })
    }

    fn method(&mut self, method: Method<'j>) -> Described {
        let signature = method.signature();
        // The same look-up as in resolving.
        let table = MethodTable::of_signature(signature);
        if table.and_then(|table| table.find(signature, self.world)) != Some(method) {
            let name = method.name().as_str();
            return fail(
                Reason::UnknownObject,
                format!("method {name} is not the one that its signature finds"),
            );
        }
        let Some(origin) = self.origins.number(method) else {
            let name = method.name().as_str();
            return fail(
                Reason::UnknownObject,
                format!(
                    "method {name} was defined while the process ran, and another session may define another"
                ),
            );
        };
        if let Some(node) = self.place_of(method.into()) {
            return self.add(node);
        }
        let signature = self.node(signature)?;
        self.add(Node::Method { signature, origin })
    }

    fn method_instance(&mut self, instance: MethodInstance<'j>) -> Described {
        let Some(method) = instance.method() else {
            return fail(Reason::NamesMain, "top-level code");
        };
        let method = self.node(method.into())?;
        let spec_types = self.node(instance.types())?;
        let Some(parameters) = instance.parameters() else {
            return fail(Reason::UnknownObject, "a method instance without parameters");
        };
        let sparams = self.node(parameters.into())?;
        self.add(Node::MethodInstance { method, spec_types, sparams })
    }

    fn code_instance(&mut self, code: CodeInstance<'j>) -> Described {
        let instance = code.method_instance();
        // The same look-up as in resolving.
        if instance.inferred_in(self.world) != Some(code) {
            return fail(Reason::UnknownObject, "a code instance of another world");
        }
        let method_instance = self.node(instance.into())?;
        self.add(Node::CodeInstance { method_instance })
    }

    fn path(&mut self, path: Path<'j>) -> Described {
        match path {
            Path::Constant(module, name) => {
                let module = self.node(module.into())?;
                self.add(Node::ConstValue { module, name: name.to_owned() })
            }
            Path::Field(parent, index) => {
                let parent = self.node(parent)?;
                self.add(Node::Field { parent, index })
            }
            Path::Root(method, index) => {
                let method = self.node(method.into())?;
                self.add(Node::Root { method, index })
            }
        }
    }

    fn bits(&mut self, object: Object<'j>, bytes: &[u8]) -> Described {
        let ty = object.type_of();
        if ty.holds_address() && bytes.iter().any(|byte| *byte != 0) {
            return fail_of_type(Reason::IntegerAddress, "a constant", object);
        }
        if ty.field_count().is_some_and(|count| count > 0) && ty.has_padding() {
            return self.structure(object);
        }
        let ty = self.node(ty.into())?;
        self.add(Node::Bits { ty, bytes: bytes.to_vec() })
    }

    /// An immutable struct, by its fields.
    fn structure(&mut self, object: Object<'j>) -> Described {
        let ty = object.type_of();
        let count = ty.field_count().unwrap_or(0);
        if count == 0 {
            return fail_of_type(Reason::UnknownObject, "an object", object);
        }
        let mut fields = Vec::with_capacity(count);
        for field in fields_of(object) {
            let Some(field) = field else {
                let what = ty.object().type_text();
                return fail(Reason::UnknownObject, format!("a {what} with an undefined field"));
            };
            fields.push(self.node(field)?);
        }
        let ty = self.node(ty.into())?;
        self.add(Node::Struct { ty, fields })
    }

    /// Describes quoted expressions and inferred code by their contents: each session creates new `Expr`, arrays and
    /// `CodeInfo`. Julia does the same: each time it reads a method's code, quoted expressions in it are new objects (dump.c,
    /// `jl_uncompress_ir`).
    fn contents_of_code(&mut self, object: Object<'j>) -> Described {
        if let Some(expr) = object.as_kind::<Expr<'j>>() {
            return self.expression(expr);
        }
        if let Some(array) = object.as_kind::<Array<'j>>() {
            return self.array(array);
        }
        if object.is::<CodeInfo<'j>>() {
            let fields =
                fields_of(object).map(|field| self.contents_if_defined(field)).collect::<Result<_, _>>()?;
            let ty = self.node(object.type_of().into())?;
            return self.fresh(&Node::MutableStruct { ty, fields });
        }
        self.node(object)
    }

    fn contents_if_defined(&mut self, object: Option<Object<'j>>) -> Result<Option<NodeId>, Undescribable> {
        object.map(|object| self.contents_of_code(object)).transpose()
    }

    fn expression(&mut self, expr: Expr<'j>) -> Described {
        let mut args = Vec::new();
        for argument in expr.argument_places() {
            let Some(argument) = argument else {
                return fail(Reason::UnknownObject, "an expression with an undefined argument");
            };
            args.push(self.contents_of_code(argument)?);
        }
        self.fresh(&Node::Expr { head: expr.head().as_str().to_owned(), args })
    }

    fn array(&mut self, array: Array<'j>) -> Described {
        let object = array.object();
        let elements = object.type_of().parameters().get(0).and_then(Object::as_kind::<DataType<'j>>);
        let unboxed = elements.is_some_and(DataType::is_bits);
        if !unboxed && !array.holds_references() {
            // Structs with references in them, and unions of plain bits.
            return fail_of_type(Reason::UnknownConstant, "an object", object);
        }
        let ty = self.node(object.type_of().into())?;
        if unboxed {
            let Ok(len) = u32::try_from(array.len()) else {
                return fail(Reason::UnknownConstant, format!("an array of {} items", array.len()));
            };
            return self.fresh(&Node::ArrayBits { ty, len, bytes: array.bytes().to_vec() });
        }
        let items = array.places().map(|item| self.contents_if_defined(item)).collect::<Result<_, _>>()?;
        self.fresh(&Node::Array { ty, items })
    }
}

/// The fields of a struct, `None` for one that is not defined.
fn fields_of(object: Object<'_>) -> impl Iterator<Item = Option<Object<'_>>> {
    let count = object.type_of().field_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    (0..count).map(move |index| object.field(index))
}
