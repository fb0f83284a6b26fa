//! Object -> description, in the build process. The counterpart of [`crate::objects::resolve`].
//!
//! Each object is described once, by what identifies it: a name, a path, or its contents where
//! contents are identity (`===`). What has neither is an error with a reason, never a guess.

use nativecache_julia::inspect::constant;
use nativecache_julia::sysimage::has_place;
use nativecache_julia::types::type_text;
use std::collections::HashMap;

use jl_sys::{
    jl_code_instance_t, jl_datatype_t, jl_expr_t, jl_method_instance_t, jl_method_t, jl_module_t, jl_tvar_t,
    jl_typename_t, jl_unionall_t, jl_uniontype_t,
};
use nativecache_image::{Builtin, ImageBuilder, Node, NodeId, Package, PackageId, Reason};

use crate::error::Undescribable;
use crate::objects::inferred::Portable;
use nativecache_julia::julia_1_5::{
    jl_has_free_typevars, jl_method_table_for, jl_methtable_lookup, jl_module_build_id, jl_rettype_inferred,
};
use nativecache_julia::layout;
use nativecache_julia::object::{
    array_bytes, array_items, is, is_root_module, is_type, module_name, module_path, string_bytes,
    svec_items, symbol_str, type_name, type_of, Value,
};
use nativecache_julia::origin::Origins;
use nativecache_julia::paths::{holds_pointer, Path, Paths};
use nativecache_julia::sysimage::Sysimage;

mod inferred_code;

type Described = Result<NodeId, Undescribable>;

/// Describes objects into one image.
pub struct Describer {
    /// Where nodes, slots and packages go.
    pub image: ImageBuilder,
    paths: Paths,
    memo: HashMap<Value, Described>,
    packages: HashMap<*mut jl_module_t, PackageId>,
    sysimage_modules: Vec<*mut jl_module_t>,
    origins: Origins,
    /// Where objects lie that are described by their place.
    places: std::ops::Range<usize>,
    type_vars: u32,
    world: usize,
}

fn fail(reason: Reason, detail: String) -> Described {
    Err(Undescribable { reason, detail })
}

impl Describer {
    /// `sysimage_modules` are the root modules that were there before any package was loaded.
    pub fn new(
        paths: Paths,
        sysimage_modules: Vec<*mut jl_module_t>,
        sysimage: &Sysimage,
        world: usize,
    ) -> Self {
        Describer {
            image: ImageBuilder::new(),
            paths,
            memo: HashMap::new(),
            packages: HashMap::new(),
            sysimage_modules,
            origins: Origins::at_build(sysimage.data.clone()),
            places: if sysimage.known_by_contents { sysimage.data.clone() } else { 0..0 },
            type_vars: 0,
            world,
        }
    }

    /// Where methods came from.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The known paths and bindings.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The package number of a root module.
    ///
    /// # Safety
    /// `root` is a live root module.
    pub unsafe fn package(&mut self, root: *mut jl_module_t) -> Result<PackageId, Undescribable> {
        if let Some(id) = self.packages.get(&root) {
            return Ok(*id);
        }
        // SAFETY: as the caller says.
        let package = unsafe {
            let mut uuid = [0u8; 16];
            uuid[..8].copy_from_slice(&(*root).uuid.hi.to_be_bytes());
            uuid[8..].copy_from_slice(&(*root).uuid.lo.to_be_bytes());
            Package {
                name: module_name(root).to_owned(),
                uuid,
                build_id: jl_module_build_id(root),
                in_sysimage: self.sysimage_modules.contains(&root),
            }
        };
        let id = self.image.package(package)?;
        self.packages.insert(root, id);
        Ok(id)
    }

    /// Describes `v`.
    ///
    /// # Safety
    /// `v` is a live object; the garbage collector is off; no other thread runs Julia code.
    pub unsafe fn describe(&mut self, v: Value) -> Described {
        if let Some(known) = self.memo.get(&v) {
            return known.clone();
        }
        // SAFETY: as the caller says.
        let described = unsafe { self.describe_new(v) };
        self.memo.insert(v, described.clone());
        described
    }

    fn node(&mut self, node: Node) -> Described {
        Ok(self.image.node(node)?)
    }

    /// A mutable object that only looks like another one is another one.
    fn fresh(&mut self, node: &Node) -> Described {
        Ok(self.image.fresh_node(node)?)
    }

    unsafe fn all(&mut self, items: &[Value]) -> Result<Vec<NodeId>, Undescribable> {
        items
            .iter()
            .map(|item| {
                if item.is_null() {
                    return fail(Reason::UnknownObject, "a vector with an undefined item".into());
                }
                // SAFETY: items of live vectors are live.
                unsafe { self.describe(*item) }
            })
            .collect()
    }

    /// What the sysimage holds of these kinds is never moved, freed or changed into another object.
    unsafe fn place_of(&self, v: Value) -> Option<Node> {
        // SAFETY: `v` is a live object.
        unsafe {
            let by_place =
                self.places.contains(&(v as usize)) && has_place(v) && v != jl_sys::jl_main_module.cast();
            let offset = by_place.then(|| v as usize - self.places.start)?;
            Some(Node::Sysimage { offset: u32::try_from(offset).ok()? })
        }
    }

    unsafe fn describe_new(&mut self, v: Value) -> Described {
        // SAFETY: each branch reads `v` as what its type tag says it is.
        unsafe {
            if !is(v, jl_sys::jl_method_type) {
                if let Some(node) = self.place_of(v) {
                    return self.node(node);
                }
            }
            if is_type(v) {
                return self.describe_type(v);
            }
            let ty = type_of(v);
            if ty == jl_sys::jl_symbol_type {
                return self.node(Node::Symbol(symbol_str(v.cast()).to_owned()));
            }
            if ty == jl_sys::jl_module_type {
                return self.describe_module(v.cast());
            }
            if ty == jl_sys::jl_tvar_type {
                return self.describe_type_var(v.cast());
            }
            if ty == jl_sys::jl_typename_type {
                return self.describe_type_name(v.cast());
            }
            if ty == jl_sys::jl_simplevector_type {
                let items = self.all(svec_items(v.cast()))?;
                return self.node(Node::SVec { items });
            }
            if ty == jl_sys::jl_method_type {
                return self.describe_method(v.cast());
            }
            if ty == jl_sys::jl_method_instance_type {
                return self.describe_method_instance(v.cast());
            }
            if ty == jl_sys::jl_code_instance_type {
                return self.describe_code_instance(v.cast());
            }
            if ty == jl_sys::jl_string_type {
                return self.node(Node::String(string_bytes(v).to_vec()));
            }
            if (*ty).instance == v {
                let ty = self.describe(ty.cast())?;
                return self.node(Node::Singleton { ty });
            }
            if let Some(path) = self.paths.find(v) {
                return self.describe_path(path);
            }
            if ty == jl_sys::jl_expr_type {
                return self.describe_code(v);
            }
            if (*ty).mutabl != 0 || (*ty).layout.is_null() {
                return fail(Reason::UnknownConstant, format!("an object of type {}", type_text(ty.cast())));
            }
            if (*ty).isbitstype != 0 {
                return self.describe_bits(v);
            }
            self.describe_struct(v)
        }
    }

    unsafe fn describe_type(&mut self, v: Value) -> Described {
        // SAFETY: `v` is a type; its kind is checked before each cast.
        unsafe {
            if v == jl_sys::jl_bottom_type {
                return self.node(Node::Builtin(Builtin::Bottom));
            }
            if let Some(name) = type_name(v) {
                if (*name).wrapper == v {
                    let typename = self.describe(name.cast())?;
                    return self.node(Node::Wrapper { typename });
                }
            }
            if is(v, jl_sys::jl_unionall_type) {
                let ua = v.cast::<jl_unionall_t>();
                let var = self.describe((*ua).var.cast())?;
                let body = self.describe((*ua).body)?;
                return self.node(Node::UnionAll { var, body });
            }
            if is(v, jl_sys::jl_uniontype_type) {
                let mut members = Vec::new();
                self.union_members(v, &mut members)?;
                return self.node(Node::Union { members });
            }
            let dt = v.cast::<jl_datatype_t>();
            let params = self.all(svec_items((*dt).parameters))?;
            if (*dt).name == jl_sys::jl_tuple_typename {
                return self.node(Node::Tuple { params });
            }
            let typename = self.describe((*dt).name.cast())?;
            self.node(Node::Apply { typename, params })
        }
    }

    unsafe fn union_members(&mut self, v: Value, out: &mut Vec<NodeId>) -> Result<(), Undescribable> {
        // SAFETY: the arms of a union are types.
        unsafe {
            if is(v, jl_sys::jl_uniontype_type) {
                let u = v.cast::<jl_uniontype_t>();
                self.union_members((*u).a, out)?;
                self.union_members((*u).b, out)
            } else {
                out.push(self.describe(v)?);
                Ok(())
            }
        }
    }

    unsafe fn describe_type_var(&mut self, tv: *mut jl_tvar_t) -> Described {
        // SAFETY: bounds of a live variable are live types.
        unsafe {
            let lb = self.describe((*tv).lb)?;
            let ub = self.describe((*tv).ub)?;
            let name = symbol_str((*tv).name).to_owned();
            let serial = self.type_vars;
            self.type_vars += 1;
            self.node(Node::TypeVar { name, lb, ub, serial })
        }
    }

    unsafe fn describe_type_name(&mut self, name: *mut jl_typename_t) -> Described {
        // SAFETY: module and name of a live type name are live.
        unsafe {
            let module = (*name).module;
            let text = symbol_str((*name).name);
            // Another session finds it through the constant binding of the same name.
            let bound = constant(module, (*name).name);
            let found = bound.and_then(|b| type_name(b)).is_some_and(|found| found == name);
            if !found {
                return fail(
                    Reason::OpaqueModule,
                    format!("type {text} is not bound in {}", module_path(module)),
                );
            }
            let module = self.describe(module.cast())?;
            self.node(Node::TypeName { module, name: text.to_owned() })
        }
    }

    unsafe fn describe_module(&mut self, module: *mut jl_module_t) -> Described {
        // SAFETY: `module` is live.
        unsafe {
            if module == jl_sys::jl_main_module {
                return fail(Reason::NamesMain, "module Main".into());
            }
            if is_root_module(module) {
                let package = self.package(module)?;
                return self.node(Node::RootModule(package));
            }
            if constant((*module).parent, (*module).name) != Some(module.cast()) {
                let path = module_path(module);
                return fail(Reason::OpaqueModule, format!("module {path} is not bound"));
            }
            let parent = self.describe((*module).parent.cast())?;
            self.node(Node::Submodule { parent, name: module_name(module).to_owned() })
        }
    }

    unsafe fn describe_method(&mut self, method: *mut jl_method_t) -> Described {
        // SAFETY: `method` is live; the look-up is the one that resolve.rs does.
        unsafe {
            let table = jl_method_table_for((*method).sig);
            let found = if table.is_null() || table == jl_sys::jl_nothing {
                jl_sys::jl_nothing
            } else {
                jl_methtable_lookup(table.cast(), (*method).sig, self.world)
            };
            if found != method.cast() {
                let name = symbol_str((*method).name);
                return fail(
                    Reason::UnknownObject,
                    format!("method {name} is not the one that its signature finds"),
                );
            }
            let Some(origin) = self.origins.of(method) else {
                let name = symbol_str((*method).name);
                return fail(
                    Reason::UnknownObject,
                    format!("method {name} was defined while the process ran, and another session may define another"),
                );
            };
            if let Some(node) = self.place_of(method.cast()) {
                return self.node(node);
            }
            let signature = self.describe((*method).sig)?;
            self.node(Node::Method { signature, origin })
        }
    }

    unsafe fn describe_method_instance(&mut self, mi: *mut jl_method_instance_t) -> Described {
        // SAFETY: `mi` is live; `def` is read as what its tag says.
        unsafe {
            let def = (*mi).def.value;
            if !is(def, jl_sys::jl_method_type) {
                return fail(Reason::NamesMain, "top-level code".into());
            }
            let method = self.describe(def)?;
            let spec_types = self.describe((*mi).specTypes)?;
            let sparams = self.describe((*mi).sparam_vals.cast())?;
            self.node(Node::MethodInstance { method, spec_types, sparams })
        }
    }

    unsafe fn describe_code_instance(&mut self, ci: *mut jl_code_instance_t) -> Described {
        // SAFETY: `ci` is live; the look-up is the one that resolve.rs does.
        unsafe {
            if jl_rettype_inferred((*ci).def, self.world, self.world) != ci.cast() {
                return fail(Reason::UnknownObject, "a code instance of another world".into());
            }
            let method_instance = self.describe((*ci).def.cast())?;
            self.node(Node::CodeInstance { method_instance })
        }
    }

    unsafe fn describe_path(&mut self, path: Path) -> Described {
        // SAFETY: paths hold live objects.
        unsafe {
            match path {
                Path::Constant(module, name) => {
                    let module = self.describe(module.cast())?;
                    self.node(Node::ConstValue { module, name: name.to_owned() })
                }
                Path::Field(parent, index) => {
                    let parent = self.describe(parent)?;
                    self.node(Node::Field { parent, index })
                }
                Path::Root(method, index) => {
                    let method = self.describe(method.cast())?;
                    self.node(Node::Root { method, index })
                }
            }
        }
    }

    unsafe fn describe_bits(&mut self, v: Value) -> Described {
        // SAFETY: a bits value is `size` bytes of data.
        unsafe {
            let ty = type_of(v);
            if holds_pointer(ty) && !is_all_zero(v, ty) {
                return fail(Reason::IntegerAddress, format!("a constant of type {}", type_text(ty.cast())));
            }
            if (*(*ty).layout).nfields > 0 && layout::has_padding(ty) {
                return self.describe_struct(v);
            }
            let bytes = std::slice::from_raw_parts(v.cast::<u8>(), (*ty).size.max(0) as usize);
            let bytes = bytes.to_vec();
            let ty = self.describe(ty.cast())?;
            self.node(Node::Bits { ty, bytes })
        }
    }

    unsafe fn describe_struct(&mut self, v: Value) -> Described {
        // SAFETY: `v` is an immutable struct; jl_get_nth_field boxes inline fields.
        unsafe {
            let ty = type_of(v);
            let nfields = (*(*ty).layout).nfields;
            if nfields == 0 {
                let what = type_text(ty.cast());
                return fail(Reason::UnknownObject, format!("an object of type {what}"));
            }
            let mut fields = Vec::with_capacity(nfields as usize);
            for i in 0..nfields as usize {
                if jl_sys::jl_field_isdefined(v, i) == 0 {
                    let what = type_text(ty.cast());
                    return fail(Reason::UnknownObject, format!("a {what} with an undefined field"));
                }
                let field = jl_sys::jl_get_nth_field(v, i);
                fields.push(self.describe(field)?);
            }
            let ty = self.describe(ty.cast())?;
            self.node(Node::Struct { ty, fields })
        }
    }

    /// Describes quoted expressions and inferred code by their contents: `Expr`, arrays and `CodeInfo`
    /// are made anew in each session. Julia does the same: each time that it reads a method's code,
    /// quoted expressions in it are new objects (dump.c, `jl_uncompress_ir`).
    ///
    /// # Safety
    /// As [`Describer::describe`].
    pub unsafe fn describe_code(&mut self, v: Value) -> Described {
        // SAFETY: as the caller says; kinds are checked before casts.
        unsafe {
            if is(v, jl_sys::jl_expr_type) {
                let e = v.cast::<jl_expr_t>();
                let args = array_items((*e).args)
                    .iter()
                    .map(|a| self.describe_code(*a))
                    .collect::<Result<Vec<_>, _>>()?;
                return self.fresh(&Node::Expr { head: symbol_str((*e).head).to_owned(), args });
            }
            let ty = type_of(v);
            if (*ty).name == jl_sys::jl_array_typename {
                let array = v.cast::<jl_sys::jl_array_t>();
                let elements = *svec_items((*ty).parameters).first().unwrap_or(&v);
                let boxed = is(elements, jl_sys::jl_datatype_type)
                    && (*elements.cast::<jl_datatype_t>()).isbitstype != 0;
                let ty_node = self.describe(ty.cast())?;
                if boxed {
                    let len = u32::try_from((*array).length).unwrap_or(u32::MAX);
                    let bytes = array_bytes(array).to_vec();
                    return self.fresh(&Node::ArrayBits { ty: ty_node, len, bytes });
                }
                let mut items = Vec::new();
                for item in array_items(array) {
                    items.push(if item.is_null() { None } else { Some(self.describe_code(*item)?) });
                }
                return self.fresh(&Node::Array { ty: ty_node, items });
            }
            if is(v, jl_sys::jl_code_info_type) {
                let nfields = (*(*ty).layout).nfields;
                let mut fields = Vec::new();
                for i in 0..nfields as usize {
                    fields.push(if jl_sys::jl_field_isdefined(v, i) == 0 {
                        None
                    } else {
                        let field = jl_sys::jl_get_nth_field(v, i);
                        Some(self.describe_code(field)?)
                    });
                }
                let ty = self.describe(ty.cast())?;
                return self.fresh(&Node::MutableStruct { ty, fields });
            }
            self.describe(v)
        }
    }
}

unsafe fn is_all_zero(v: Value, ty: *mut jl_datatype_t) -> bool {
    // SAFETY: `v` is a bits value of type `ty`.
    unsafe {
        let bytes = std::slice::from_raw_parts(v.cast::<u8>(), (*ty).size.max(0) as usize);
        bytes.iter().all(|b| *b == 0)
    }
}
