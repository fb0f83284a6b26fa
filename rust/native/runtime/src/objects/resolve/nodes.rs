//! One object from its description: a method for each kind of node.

use nativecache_image::{Builtin, List, NodeId, NodeRef, PackageId};
use nativecache_julia::handles::make::{self, WrongFields};
use nativecache_julia::handles::{
    Array, DataType, Method, MethodInstance, Module, Object, SVec, Symbol, Text, TypeName, TypeVar,
};
use nativecache_mutation::mutation;
use smallvec::SmallVec;

use super::{Missing, Resolved, Resolver, Surroundings, Trouble};
use crate::load::loaded::Loaded;
use crate::objects::inferred;

/// One stretch of work in which nodes are resolved.
#[derive(Clone, Copy)]
pub(super) struct Stage<'r, 'j> {
    pub(super) resolver: &'r Resolver,
    pub(super) around: &'r Surroundings<'r, 'j>,
}

/// Few objects, as parameters and fields are.
type Objects<'j> = SmallVec<[Object<'j>; 8]>;

impl<'j> Stage<'_, 'j> {
    /// The object that a node describes. Its operands have been resolved before.
    pub(super) fn resolve(self, node: &NodeRef<'_>) -> Resolved<'j> {
        match *node {
            NodeRef::Symbol(name) => Ok(self.symbol(name).into()),
            NodeRef::RootModule(package) => self.root_module(package),
            NodeRef::Submodule { parent: module, name } | NodeRef::ConstValue { module, name } => {
                self.constant(module, name)
            }
            NodeRef::TypeName { module, name } => self.named_type(module, name),
            NodeRef::Field { parent, index } => self.field(parent, index),
            NodeRef::Wrapper { typename } => Ok(self.type_name(typename)?.wrapper()),
            NodeRef::Apply { typename, params } => self.applied(typename, params),
            NodeRef::Tuple { params } => self.tuple(params),
            NodeRef::TypeVar { name, lb, ub, .. } => self.type_variable(name, lb, ub),
            NodeRef::UnionAll { var, body } => self.union_all(var, body),
            NodeRef::Union { members } => self.union(members),
            NodeRef::SVec { items } => Ok(SVec::new(self.around.julia, &self.all(items)?).into()),
            NodeRef::Bits { ty, bytes } => self.bits(ty, bytes),
            NodeRef::String(bytes) => Ok(Text::new(self.around.julia, bytes).into()),
            NodeRef::Struct { ty, fields } => self.structure(ty, fields),
            NodeRef::Singleton { ty } => Ok(self.data_type(ty)?.instance().ok_or(Missing::Instance)?),
            NodeRef::Method { signature, origin } => self.find_method(signature, origin),
            NodeRef::Root { method, index } => self.root(method, index),
            NodeRef::MethodInstance { method, spec_types, sparams } => {
                self.specialisation(method, spec_types, sparams)
            }
            NodeRef::CodeInstance { method_instance } => self.code_of_sysimage(method_instance),
            NodeRef::Sysimage { offset } => self.in_sysimage(offset),
            NodeRef::Builtin(builtin) => self.builtin(builtin),
            NodeRef::Expr { head, args } => self.expression(head, args),
            NodeRef::Array { ty, items } => self.vector(ty, items),
            NodeRef::ArrayBits { ty, len, bytes } => self.vector_of_bits(ty, len, bytes),
            NodeRef::InferredCode { method, bytes, roots, places } => {
                self.inferred_code(method, bytes, roots, places)
            }
            NodeRef::MutableStruct { ty, fields } => self.mutable_structure(ty, fields),
        }
    }

    fn object(self, id: NodeId) -> Resolved<'j> {
        self.resolver.object(self.around.julia, id)
    }

    fn all(self, ids: List<'_, NodeId>) -> Result<Objects<'j>, Trouble> {
        ids.iter().map(|id| self.object(id)).collect()
    }

    /// Objects, `None` where there is to be none.
    fn places(self, ids: List<'_, Option<NodeId>>) -> Result<SmallVec<[Option<Object<'j>>; 8]>, Trouble> {
        ids.iter().map(|id| id.map(|id| self.object(id)).transpose()).collect()
    }

    fn symbol(self, name: &str) -> Symbol<'j> {
        self.around.symbols.get(self.around.julia, name)
    }

    fn module(self, id: NodeId) -> Result<Module<'j>, Trouble> {
        self.resolver.module(self.around.julia, id)
    }

    fn data_type(self, id: NodeId) -> Result<DataType<'j>, Trouble> {
        self.resolver.kind(self.around.julia, id, "data type")
    }

    fn method(self, id: NodeId) -> Result<Method<'j>, Trouble> {
        self.resolver.kind(self.around.julia, id, "method")
    }

    fn type_name(self, id: NodeId) -> Result<TypeName<'j>, Trouble> {
        self.resolver.kind(self.around.julia, id, "type name")
    }

    fn root_module(self, package: PackageId) -> Resolved<'j> {
        match self.around.packages.get(package.index()) {
            Some(Loaded::OtherBuild(what)) => Err(Trouble::OtherBuild(what.clone())),
            loaded => {
                let module = loaded.and_then(|loaded| loaded.module());
                Ok(module.ok_or(Trouble::Waiting(package))?.into())
            }
        }
    }

    /// The value of a constant that the module owns; a submodule is one.
    fn constant(self, module: NodeId, name: &str) -> Resolved<'j> {
        let module = self.module(module)?;
        let value = module.constant(self.symbol(name));
        Ok(value.ok_or_else(|| Missing::Constant { module: module.path(), name: name.to_owned() })?)
    }

    /// The name of the type that a constant is bound to.
    fn named_type(self, module: NodeId, name: &str) -> Resolved<'j> {
        let module = self.module(module)?;
        let ty = module.constant(self.symbol(name)).filter(|value| value.is_type());
        match ty.and_then(Object::type_name) {
            Some(found) => Ok(found.into()),
            None => Err(Missing::Type { module: module.path(), name: name.to_owned() }.into()),
        }
    }

    fn field(self, parent: NodeId, index: u32) -> Resolved<'j> {
        let parent = self.object(parent)?;
        if !parent.type_of().field(index).is_some_and(|field| field.is_reference) {
            return Err(Missing::Field(index).into());
        }
        Ok(parent.reference(index).ok_or(Missing::Nothing)?)
    }

    fn applied(self, name: NodeId, parameters: List<'_, NodeId>) -> Resolved<'j> {
        let wrapper = self.type_name(name)?.wrapper();
        Ok(self.around.apply.to(wrapper, &self.all(parameters)?).ok_or(Missing::Parameters)?)
    }

    fn tuple(self, parameters: List<'_, NodeId>) -> Resolved<'j> {
        Ok(self.around.apply.tuple(&self.all(parameters)?).ok_or(Missing::Parameters)?)
    }

    fn type_variable(self, name: &str, lower: NodeId, upper: NodeId) -> Resolved<'j> {
        let variable = TypeVar::new(self.symbol(name), self.object(lower)?, self.object(upper)?);
        Ok(variable.ok_or(Missing::Bounds)?.into())
    }

    fn union_all(self, variable: NodeId, body: NodeId) -> Resolved<'j> {
        let (variable, body) = (self.object(variable)?, self.object(body)?);
        let variable = variable.as_kind::<TypeVar<'j>>().ok_or(Missing::Kind("type variable"))?;
        Ok(make::union_all(variable, body).ok_or(Missing::Body)?)
    }

    fn union(self, members: List<'_, NodeId>) -> Resolved<'j> {
        Ok(make::union(self.around.julia, &self.all(members)?).ok_or(Missing::Union)?)
    }

    fn bits(self, ty: NodeId, bytes: &[u8]) -> Resolved<'j> {
        Ok(self.data_type(ty)?.new_bits(bytes).ok_or(Missing::BitsType)?)
    }

    fn structure(self, ty: NodeId, fields: List<'_, NodeId>) -> Resolved<'j> {
        let ty = self.data_type(ty)?;
        ty.new_struct(&self.all(fields)?).map_err(without_struct)
    }

    fn mutable_structure(self, ty: NodeId, fields: List<'_, Option<NodeId>>) -> Resolved<'j> {
        let ty = self.data_type(ty)?;
        ty.new_mutable(&self.places(fields)?).map_err(without_struct)
    }

    fn find_method(self, signature: NodeId, origin: u64) -> Resolved<'j> {
        let signature = self.object(signature)?;
        if !signature.is_type() {
            return Err(Missing::Signature.into());
        }
        let method =
            self.around.tables.find(signature).ok_or_else(|| Missing::Method(signature.type_text()))?;
        // The same signature is not the same method: it may have been defined anew.
        if mutation!(
            "origin: a method is known by its signature",
            self.resolver.origins.number(method) != Some(origin),
            false
        ) {
            return Err(Trouble::Redefined(signature.type_text()));
        }
        Ok(method.into())
    }

    fn root(self, method: NodeId, index: u32) -> Resolved<'j> {
        let root = self.method(method)?.roots().and_then(|roots| roots.get(index as usize));
        Ok(root.ok_or(Missing::Root(index))?)
    }

    fn specialisation(self, method: NodeId, types: NodeId, parameters: NodeId) -> Resolved<'j> {
        let method = self.method(method)?;
        let (types, parameters) = (self.object(types)?, self.object(parameters)?);
        let parameters = parameters.as_kind::<SVec<'j>>().filter(|_| types.is_type());
        let parameters = parameters.ok_or(Missing::Specialisation)?;
        // SAFETY: the parameters are those of the build, where Julia had them for the same types of the same method.
        let found = unsafe { self.resolver.specialisations.borrow_mut().get(method, types, parameters) };
        Ok(found.ok_or(Missing::Nothing)?.into())
    }

    /// Code calls it with the signature that it has in the sysimage; what this session may have inferred in its place
    /// can have another one.
    fn code_of_sysimage(self, instance: NodeId) -> Resolved<'j> {
        let instance = self.resolver.instance(self.around.julia, instance)?;
        let code = instance.inferred_in(self.around.world);
        let original = code.filter(|code| self.resolver.sysimage.contains(&code.address()));
        Ok(original.ok_or(Missing::SysimageCode)?.into())
    }

    /// The object at this place in the sysimage: the key says that it is the same file.
    fn in_sysimage(self, place: u32) -> Resolved<'j> {
        let found = self.resolver.places.object(self.around.julia, place);
        let object = found.ok_or(Missing::SysimageObject)?;
        let method = match object.as_kind::<MethodInstance<'j>>() {
            Some(instance) => instance.method(),
            None => object.as_kind(),
        };
        match method.filter(|method| !self.around.tables.is_live(*method)) {
            Some(replaced) => Err(Trouble::Redefined(replaced.signature().type_text())),
            None => Ok(object),
        }
    }

    fn builtin(self, builtin: Builtin) -> Resolved<'j> {
        let name = builtin.symbol();
        // SAFETY: the names of builtins are those of such variables.
        Ok(unsafe { make::builtin(self.around.julia, name) }.ok_or(Missing::Builtin(name))?)
    }

    fn expression(self, head: &str, arguments: List<'_, NodeId>) -> Resolved<'j> {
        let arguments = self.all(arguments)?;
        make::expr(self.around.julia, self.symbol(head), &arguments).map_err(without_struct)
    }

    fn new_vector(self, ty: NodeId, length: usize) -> Result<Array<'j>, Trouble> {
        Ok(self.data_type(ty)?.new_vector(length).ok_or(Missing::VectorType)?)
    }

    fn vector(self, ty: NodeId, items: List<'_, Option<NodeId>>) -> Resolved<'j> {
        let array = self.new_vector(ty, items.len())?;
        if !array.holds_references() {
            return Err(Missing::VectorOfReferences.into());
        }
        let items = self.places(items)?;
        // SAFETY: made above.
        unsafe { array.fill(items.into_iter()) };
        Ok(array.into())
    }

    fn vector_of_bits(self, ty: NodeId, length: u32, bytes: &[u8]) -> Resolved<'j> {
        let array = self.new_vector(ty, length as usize)?;
        // SAFETY: made above; the bytes are those that such an array had at build.
        unsafe { array.fill_bytes(bytes) }.ok_or(Missing::VectorSize)?;
        Ok(array.into())
    }

    fn inferred_code(
        self,
        method: NodeId,
        bytes: &[u8],
        roots: List<'_, NodeId>,
        places: List<'_, u32>,
    ) -> Resolved<'j> {
        let method = self.method(method)?;
        let roots = self.all(roots)?;
        let known = &mut self.resolver.roots.borrow_mut();
        let code = inferred::unpack(self.around.julia, known, method, bytes, &roots, places.iter());
        Ok(code.ok_or(Missing::RoomForRoots)?.into())
    }
}

fn without_struct(wrong: WrongFields) -> Trouble {
    Trouble::Missing(match wrong {
        WrongFields::Count => Missing::FieldCount,
        WrongFields::Types => Missing::FieldTypes,
        WrongFields::Kind => Missing::ImmutableStruct,
    })
}
