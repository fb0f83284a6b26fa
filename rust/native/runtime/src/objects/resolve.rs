//! Description -> object, in a session. The counterpart of [`crate::objects::describe`].
//!
//! Nodes are resolved once, in order, so that the operands of each are at hand. Nothing here may
//! throw a Julia exception through Rust frames: what can throw in Julia goes through `jl_call`,
//! which catches; for the rest the conditions of the C functions are checked first.

use nativecache_mutation::mutation;
use std::cell::RefCell;
use std::collections::HashMap;

use jl_sys::{jl_array_t, jl_datatype_t, jl_method_instance_t, jl_method_t, jl_module_t, jl_tvar_t};
use nativecache_image::{Image, NodeId, NodeRef, PackageId, SlotId, SlotRef};

use smallvec::{smallvec, SmallVec};

use crate::edges::tables::MethodTables;
use crate::load::loaded::Loaded;
use crate::objects::inferred;
use nativecache_julia::inspect::constant;
use nativecache_julia::julia_1_5::{
    jl_apply_tuple_type_v, jl_dlsym, jl_get_binding, jl_load_dynamic_library, jl_new_bits,
    jl_rettype_inferred, Binding, JL_RTLD_DEFAULT,
};
use nativecache_julia::layout;
use nativecache_julia::object::{
    array_items, is, is_type, module_path, svec_items, symbol, type_name, type_of, Value,
};
use nativecache_julia::origin::Origins;
use nativecache_julia::raw_method_roots::Roots;
use nativecache_julia::raw_specialisations::Specialisations;
use nativecache_julia::raw_symbols::Names;
use nativecache_julia::sysimage::has_place;
use nativecache_julia::sysimage::Sysimage;
use nativecache_julia::types::type_text;

mod slots;
pub use slots::c_symbol;

/// Why a node or slot has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its package is not loaded.
    Waiting(PackageId),
    /// Its package is loaded, but precompiled again since.
    OtherBuild(String),
    /// The session has another method with this signature.
    Redefined(String),
    /// The session has no such object.
    Missing(String),
}

/// The nodes of one image as objects of this session.
pub struct Resolver {
    /// Null where there is trouble.
    values: Vec<Value>,
    troubles: HashMap<usize, Trouble>,
    world: usize,
    apply_type: Value,
    origins: Origins,
    tables: MethodTables,
    specialisations: RefCell<Specialisations>,
    roots: RefCell<Roots>,
    names: Names,
    /// Where the sysimage's objects lie.
    sysimage: std::ops::Range<usize>,
    /// The same if they are known by their place.
    places: std::ops::Range<usize>,
}

type Resolved = Result<Value, Trouble>;

/// Few objects, as parameters and fields are.
type Values = SmallVec<[Value; 8]>;

fn missing(text: impl Into<String>) -> Trouble {
    Trouble::Missing(text.into())
}

impl Resolver {
    /// Nothing resolved yet.
    ///
    /// # Safety
    /// Called on a Julia thread.
    pub unsafe fn new(image: &Image<'_>, sysimage: Option<&Sysimage>, world: usize) -> Result<Self, Trouble> {
        let known = sysimage.filter(|s| s.known_by_contents);
        let places = known.map_or(0..0, |s| s.data.clone());
        let sysimage = sysimage.map_or(0..0, |s| s.data.clone());
        let count = image.node_count() as usize;
        // SAFETY: Core has this builtin.
        let apply_type = unsafe { constant(jl_sys::jl_core_module, symbol("apply_type")) }
            .ok_or_else(|| missing("Core.apply_type"))?;
        Ok(Resolver {
            values: vec![std::ptr::null_mut(); count],
            troubles: HashMap::new(),
            world,
            apply_type,
            origins: Origins::at_load(sysimage.clone()),
            tables: MethodTables::new(sysimage.clone(), world),
            specialisations: RefCell::new(Specialisations::new(places.clone())),
            roots: RefCell::default(),
            names: Names::default(),
            sysimage,
            places,
        })
    }

    /// Resolves every node that has no value yet. `modules[p]` says where package `p` stands; `pristine`,
    /// that all method tables are as they were at build.
    ///
    /// # Safety
    /// Called on a Julia thread with the garbage collector off; `modules` hold live root modules.
    pub unsafe fn run(&mut self, image: &Image<'_>, modules: &[Loaded], world: usize, pristine: bool) {
        self.world = world;
        self.tables.enter(world);
        self.tables.set_pristine(pristine);
        self.troubles.clear();
        // SAFETY: as the caller says.
        self.names = unsafe { Names::of(self.package_modules(modules), image.node_count() as usize) };
        for index in 0..self.values.len() {
            if !self.values[index].is_null() {
                continue;
            }
            let id = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
            // SAFETY: as the caller says.
            let resolved = match image.node(id) {
                Ok(node) => unsafe { self.resolve(&node, modules) },
                Err(error) => Err(missing(error.to_string())),
            };
            match resolved {
                Ok(value) if !value.is_null() => self.values[index] = value,
                Ok(_) => drop(self.troubles.insert(index, missing("nothing there"))),
                Err(trouble) => drop(self.troubles.insert(index, trouble)),
            }
        }
    }

    /// The root modules of loaded packages outside of the sysimage.
    fn package_modules<'a>(&self, modules: &'a [Loaded]) -> impl Iterator<Item = *mut jl_module_t> + 'a {
        let sysimage = self.sysimage.clone();
        modules.iter().filter_map(move |loaded| match loaded {
            Loaded::Yes(module) => (!sysimage.contains(&(*module as usize))).then_some(*module),
            _ => None,
        })
    }

    /// The object of a node, or why there is none.
    pub fn get(&self, id: NodeId) -> Resolved {
        match self.values.get(id.index()) {
            Some(value) if !value.is_null() => Ok(*value),
            Some(_) => Err(self.trouble(id)),
            None => Err(missing("no such node")),
        }
    }

    #[cold]
    fn trouble(&self, id: NodeId) -> Trouble {
        self.troubles.get(&id.index()).cloned().unwrap_or_else(|| missing("not resolved"))
    }

    fn all(&self, ids: impl Iterator<Item = NodeId>) -> Result<Values, Trouble> {
        ids.map(|id| self.get(id)).collect()
    }

    fn module(&self, id: NodeId) -> Result<*mut jl_module_t, Trouble> {
        let value = self.get(id)?;
        // SAFETY: resolved values are live.
        if unsafe { is(value, jl_sys::jl_module_type) } {
            Ok(value.cast())
        } else {
            Err(missing("not a module"))
        }
    }

    fn data_type(&self, id: NodeId) -> Result<*mut jl_datatype_t, Trouble> {
        let value = self.get(id)?;
        // SAFETY: resolved values are live.
        if unsafe { is(value, jl_sys::jl_datatype_type) } {
            Ok(value.cast())
        } else {
            Err(missing("not a data type"))
        }
    }

    fn method(&self, id: NodeId) -> Result<*mut jl_method_t, Trouble> {
        let value = self.get(id)?;
        // SAFETY: resolved values are live.
        if unsafe { is(value, jl_sys::jl_method_type) } {
            Ok(value.cast())
        } else {
            Err(missing("not a method"))
        }
    }

    unsafe fn resolve(&self, node: &NodeRef<'_>, modules: &[Loaded]) -> Resolved {
        // SAFETY: operands are live objects of the kinds that are checked before each use.
        unsafe {
            match *node {
                NodeRef::Symbol(name) => Ok(self.names.symbol(name).cast()),
                NodeRef::RootModule(package) => match modules.get(package.index()) {
                    Some(Loaded::Yes(module)) => Ok((*module).cast()),
                    Some(Loaded::OtherBuild(what)) => Err(Trouble::OtherBuild(what.clone())),
                    Some(Loaded::Missing) | None => Err(Trouble::Waiting(package)),
                },
                NodeRef::Submodule { parent, name } | NodeRef::ConstValue { module: parent, name } => {
                    let module = self.module(parent)?;
                    constant(module, self.names.symbol(name))
                        .ok_or_else(|| missing(format!("constant {}.{name}", module_path(module))))
                }
                NodeRef::TypeName { module, name } => {
                    let module = self.module(module)?;
                    constant(module, self.names.symbol(name))
                        .filter(|v| is_type(*v))
                        .and_then(|v| type_name(v))
                        .map(|n| n.cast())
                        .ok_or_else(|| missing(format!("type {}.{name}", module_path(module))))
                }
                NodeRef::Field { parent, index } => {
                    let parent = self.get(parent)?;
                    match layout::field(type_of(parent), index) {
                        Some((offset, true)) => Ok(*parent.cast::<u8>().add(offset).cast::<Value>()),
                        _ => Err(missing(format!("boxed field {index}"))),
                    }
                }
                NodeRef::Wrapper { typename } => Ok((*self.type_name(typename)?).wrapper),
                NodeRef::Apply { typename, params } => {
                    let wrapper = (*self.type_name(typename)?).wrapper;
                    self.apply(wrapper, self.all(params.iter())?)
                }
                NodeRef::Tuple { params } => self.tuple(self.all(params.iter())?),
                NodeRef::TypeVar { name, lb, ub, .. } => {
                    Ok(jl_sys::jl_new_typevar(self.names.symbol(name), self.get(lb)?, self.get(ub)?).cast())
                }
                NodeRef::UnionAll { var, body } => {
                    let (var, body) = (self.get(var)?, self.get(body)?);
                    if !is(var, jl_sys::jl_tvar_type) {
                        return Err(missing("not a type variable"));
                    }
                    Ok(jl_sys::jl_type_unionall(var.cast::<jl_tvar_t>(), body))
                }
                NodeRef::Union { members } => {
                    let mut members = self.all(members.iter())?;
                    if members.iter().any(|m| !is_type(*m) && !is(*m, jl_sys::jl_tvar_type)) {
                        return Err(missing("a union of what is no type"));
                    }
                    Ok(jl_sys::jl_type_union(members.as_mut_ptr(), members.len() as _))
                }
                NodeRef::SVec { items } => {
                    let items = self.all(items.iter())?;
                    if items.is_empty() {
                        return Ok(jl_sys::jl_emptysvec.cast());
                    }
                    let svec = jl_sys::jl_alloc_svec(items.len());
                    let data = svec.cast::<Value>().add(1);
                    for (i, item) in items.iter().enumerate() {
                        *data.add(i) = *item;
                    }
                    Ok(svec.cast())
                }
                NodeRef::Bits { ty, bytes } => {
                    let ty = self.data_type(ty)?;
                    if (*ty).isbitstype == 0 || (*ty).size.max(0) as usize != bytes.len() {
                        return Err(missing("a bits type of this size"));
                    }
                    // jl_new_bits reads whole words for primitive types.
                    let mut data = vec![0u64; bytes.len() / 8 + 1];
                    data.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                    Ok(jl_new_bits(ty.cast(), data.as_mut_ptr().cast()))
                }
                NodeRef::String(bytes) => Ok(jl_sys::jl_pchar_to_string(bytes.as_ptr().cast(), bytes.len())),
                NodeRef::Struct { ty, fields } => {
                    self.new_struct(self.data_type(ty)?, self.all(fields.iter())?)
                }
                NodeRef::Singleton { ty } => {
                    let instance = (*self.data_type(ty)?).instance;
                    if instance.is_null() {
                        Err(missing("an instance"))
                    } else {
                        Ok(instance)
                    }
                }
                NodeRef::Method { signature, origin } => self.find_method(self.get(signature)?, origin),
                NodeRef::Root { method, index } => {
                    let roots = (*self.method(method)?).roots;
                    let root = array_items(roots).get(index as usize).copied();
                    root.filter(|r| !r.is_null()).ok_or_else(|| missing(format!("root {index}")))
                }
                NodeRef::MethodInstance { method, spec_types, sparams } => {
                    let method = self.method(method)?;
                    let (spec_types, sparams) = (self.get(spec_types)?, self.get(sparams)?);
                    if !is_type(spec_types) || !is(sparams, jl_sys::jl_simplevector_type) {
                        return Err(missing("a specialisation"));
                    }
                    Ok(self.specialisations.borrow_mut().get(method, spec_types, sparams.cast()).cast())
                }
                NodeRef::CodeInstance { method_instance } => {
                    let mi = self.method_instance(method_instance)?;
                    let ci = jl_rettype_inferred(mi, self.world, self.world);
                    // Code calls it with the signature that it has in the sysimage; what this session may
                    // have inferred in its place can have another one.
                    let original = self.sysimage.contains(&(ci as usize));
                    if original && is(ci, jl_sys::jl_code_instance_type) {
                        Ok(ci)
                    } else {
                        Err(missing("valid code of the sysimage"))
                    }
                }
                NodeRef::Sysimage { offset } => self.in_sysimage(offset as usize),
                NodeRef::Builtin(builtin) => {
                    let name = std::ffi::CString::new(builtin.symbol()).unwrap_or_default();
                    let variable = nativecache_julia::elf::global_symbol(&name);
                    if variable.is_null() {
                        return Err(missing(builtin.symbol()));
                    }
                    Ok(*variable.cast::<Value>())
                }
                NodeRef::Expr { head, args } => {
                    let args = self.all(args.iter())?;
                    let any = jl_sys::jl_array_any_type.cast();
                    let array = jl_sys::jl_alloc_array_1d(any, args.len());
                    fill(array, args.into_iter());
                    self.new_struct(
                        jl_sys::jl_expr_type,
                        smallvec![self.names.symbol(head).cast(), array.cast()],
                    )
                }
                NodeRef::Array { ty, items } => {
                    let array = self.new_vector(ty, items.len())?;
                    if (*array).elsize != 8 {
                        return Err(missing("a vector of boxed items"));
                    }
                    let items = items.iter().map(|item| match item {
                        Some(id) => self.get(id),
                        None => Ok(std::ptr::null_mut()),
                    });
                    fill(array, items.collect::<Result<Vec<_>, _>>()?.into_iter());
                    Ok(array.cast())
                }
                NodeRef::ArrayBits { ty, len, bytes } => {
                    let array = self.new_vector(ty, len as usize)?;
                    if len as usize * usize::from((*array).elsize) != bytes.len() {
                        return Err(missing("a vector of this size"));
                    }
                    (*array).data.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                    Ok(array.cast())
                }
                NodeRef::InferredCode { method, bytes, roots, places } => {
                    let method = self.method(method)?;
                    let roots = self.all(roots.iter())?;
                    inferred::unpack(&mut self.roots.borrow_mut(), method, bytes, &roots, places.iter())
                        .map(|array| array.cast())
                        .ok_or_else(|| missing("room among the roots of its method"))
                }
                NodeRef::MutableStruct { ty, fields } => {
                    let fields = fields.iter().map(|field| match field {
                        Some(id) => self.get(id),
                        None => Ok(std::ptr::null_mut()),
                    });
                    self.new_mutable(self.data_type(ty)?, fields.collect::<Result<Vec<_>, _>>()?)
                }
            }
        }
    }

    fn type_name(&self, id: NodeId) -> Result<*mut jl_sys::jl_typename_t, Trouble> {
        let value = self.get(id)?;
        // SAFETY: resolved values are live.
        if unsafe { is(value, jl_sys::jl_typename_type) } {
            Ok(value.cast())
        } else {
            Err(missing("not a type name"))
        }
    }

    /// The method instance of a node.
    pub fn method_instance(&self, id: NodeId) -> Result<*mut jl_method_instance_t, Trouble> {
        let value = self.get(id)?;
        // SAFETY: resolved values are live.
        if unsafe { is(value, jl_sys::jl_method_instance_type) } {
            Ok(value.cast())
        } else {
            Err(missing("not a method instance"))
        }
    }

    /// A tuple type. Julia's constructor throws about a parameter that is no type and about `Vararg`s of a
    /// negative length or before the end, so those go the way on which exceptions are caught.
    unsafe fn tuple(&self, mut params: Values) -> Resolved {
        // SAFETY: parameters are live.
        unsafe {
            if params.iter().all(|p| is_plain_parameter(*p)) {
                return Ok(jl_apply_tuple_type_v(params.as_mut_ptr(), params.len()));
            }
            self.apply(jl_sys::jl_anytuple_type.cast(), params)
        }
    }

    unsafe fn apply(&self, wrapper: Value, mut args: Values) -> Resolved {
        args.insert(0, wrapper);
        // SAFETY: jl_call catches what apply_type throws and then returns null.
        let applied = unsafe { jl_sys::jl_call(self.apply_type, args.as_mut_ptr(), args.len() as i32) };
        if applied.is_null() {
            Err(missing("a type with these parameters"))
        } else {
            Ok(applied)
        }
    }

    unsafe fn new_struct(&self, ty: *mut jl_datatype_t, mut fields: Values) -> Resolved {
        // SAFETY: the checks are those of jl_new_structv (datatype.c), which would throw.
        unsafe {
            let plain = (*ty).mutabl == 0 || ty == jl_sys::jl_expr_type;
            check_fields(ty, &fields)?;
            if !plain || fields.iter().any(|f| f.is_null()) {
                return Err(missing("an immutable struct with all fields"));
            }
            Ok(jl_sys::jl_new_structv(ty, fields.as_mut_ptr(), fields.len() as u32))
        }
    }

    unsafe fn new_vector(&self, ty: NodeId, len: usize) -> Result<*mut jl_array_t, Trouble> {
        let ty = self.data_type(ty)?;
        // SAFETY: jl_alloc_array_1d takes any instantiation of Array with one dimension.
        unsafe {
            let dimensions = svec_items((*ty).parameters).get(1).copied();
            let one = dimensions.is_some_and(|d| is(d, jl_sys::jl_int64_type) && *d.cast::<i64>() == 1);
            if (*ty).name != jl_sys::jl_array_typename || !one {
                return Err(missing("a vector type"));
            }
            Ok(jl_sys::jl_alloc_array_1d(ty.cast(), len))
        }
    }

    unsafe fn new_mutable(&self, ty: *mut jl_datatype_t, fields: Vec<Value>) -> Resolved {
        // SAFETY: what the C functions would throw about is checked.
        unsafe {
            check_fields(ty, &fields)?;
            let object = jl_sys::jl_new_struct_uninit(ty);
            for (i, field) in fields.iter().enumerate().filter(|(_, f)| !f.is_null()) {
                jl_sys::jl_set_nth_field(object, i, *field);
            }
            Ok(object)
        }
    }

    /// Where methods came from.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The method tables as they are now.
    pub fn tables(&self) -> &MethodTables {
        &self.tables
    }

    /// The object at this place in the sysimage: the key says that it is the same file, and its tag must
    /// be of a kind that is described so.
    unsafe fn in_sysimage(&self, offset: usize) -> Resolved {
        let inside = offset.is_multiple_of(8) && (8..self.places.len().saturating_sub(64)).contains(&offset);
        if !inside {
            return Err(missing("an object of the sysimage"));
        }
        let value = (self.places.start + offset) as Value;
        // SAFETY: the word before and those behind lie in the sysimage's data.
        unsafe {
            if !has_place(value) {
                return Err(missing("an object of the sysimage"));
            }
            let method = if is(value, jl_sys::jl_method_instance_type) {
                (*value.cast::<jl_method_instance_t>()).def.value
            } else {
                value
            };
            if is(method, jl_sys::jl_method_type) && !self.tables.is_live(method.cast()) {
                return Err(Trouble::Redefined(type_text((*method.cast::<jl_method_t>()).sig)));
            }
        }
        Ok(value)
    }

    unsafe fn find_method(&self, signature: Value, origin: u64) -> Resolved {
        // SAFETY: a signature is a type; `nothing` and null mean that there is no table.
        unsafe {
            if !is_type(signature) {
                return Err(missing("a signature"));
            }
            let Some(method) = self.tables.find(signature) else {
                return Err(missing(format!("method {}", type_text(signature))));
            };
            // The same signature is not the same method: it may have been defined anew.
            if mutation!(
                "origin: a method is known by its signature",
                self.origins.of(method) != Some(origin),
                false
            ) {
                return Err(Trouble::Redefined(type_text(signature)));
            }
            Ok(method.cast())
        }
    }

    /// An array of all values, to be rooted by Julia.
    ///
    /// # Safety
    /// As [`Resolver::run`].
    pub unsafe fn rooted(&self) -> *mut jl_array_t {
        // SAFETY: a fresh array of boxed elements, filled before anything else is allocated.
        unsafe {
            let found: Vec<Value> = self.values.iter().copied().filter(|v| !v.is_null()).collect();
            let array = jl_sys::jl_alloc_array_1d(jl_sys::jl_array_any_type.cast(), found.len());
            for (i, value) in found.iter().enumerate() {
                *(*array).data.cast::<Value>().add(i) = *value;
            }
            array
        }
    }
}

/// A type that is no `Vararg`.
///
/// # Safety
/// `parameter` is live.
unsafe fn is_plain_parameter(parameter: Value) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        if is(parameter, jl_sys::jl_datatype_type) {
            return (*parameter.cast::<jl_datatype_t>()).name != jl_sys::jl_vararg_typename;
        }
        is_type(parameter) && type_name(parameter) != Some(jl_sys::jl_vararg_typename)
    }
}

/// Can a struct of this type have these fields? Null stands for an undefined one.
///
/// # Safety
/// `ty` and the fields are live.
unsafe fn check_fields(ty: *mut jl_datatype_t, fields: &[Value]) -> Result<(), Trouble> {
    // SAFETY: as the caller says; the field types of a type with a layout can be computed.
    unsafe {
        if (*ty).layout.is_null() || (*(*ty).layout).nfields as usize != fields.len() {
            return Err(missing("a struct with this many fields"));
        }
        let mut types = (*ty).types;
        if types.is_null() {
            types = jl_sys::jl_compute_fieldtypes(ty, std::ptr::null_mut());
        }
        let fits = |(t, f): (&Value, &Value)| f.is_null() || jl_sys::jl_isa(*f, *t) != 0;
        if svec_items(types).iter().zip(fields).all(fits) {
            Ok(())
        } else {
            Err(missing("a struct with fields of these types"))
        }
    }
}

/// Writes the items of a fresh vector of boxed elements; no collection has seen it, so no barrier.
///
/// # Safety
/// `array` has room for the items.
unsafe fn fill(array: *mut jl_array_t, items: impl Iterator<Item = Value>) {
    // SAFETY: as the caller says.
    unsafe {
        for (i, item) in items.enumerate() {
            *(*array).data.cast::<Value>().add(i) = item;
        }
    }
}
