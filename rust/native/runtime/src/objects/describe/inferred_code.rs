//! Inferred code with what it refers to: its method's type variables stand in the descriptions of types.

use super::*;

impl Describer {
    /// Describes the inferred code that `ci` keeps for its callers.
    ///
    /// # Safety
    /// As [`Describer::describe`]; `data` is the compressed code of `ci`.
    pub unsafe fn inferred_code(
        &mut self,
        ci: *mut jl_code_instance_t,
        data: *mut jl_sys::jl_array_t,
    ) -> Described {
        // SAFETY: as the caller says.
        unsafe {
            let Portable { bytes, roots, places } = Portable::of(ci, data)?;
            let owner = (*(*ci).def).def.value.cast::<jl_method_t>();
            let method = self.describe(owner.cast())?;
            let mut described = Vec::with_capacity(roots.len());
            for root in roots {
                let open =
                    (is_type(root) || is(root, jl_sys::jl_tvar_type)) && jl_has_free_typevars(root) != 0;
                described.push(if open {
                    self.open_type(root, owner, method)?
                } else {
                    self.describe(root)?
                });
            }
            self.node(Node::InferredCode { method, bytes, roots: described, places })
        }
    }

    /// A type with free variables, those of its method's signature: `ccall(…, Ref{T}, …)` in a method `where T`.
    /// They are the signature's own variables, which inlining replaces; others with the same names are not.
    unsafe fn open_type(&mut self, ty: Value, owner: *mut jl_method_t, method: NodeId) -> Described {
        // SAFETY: `ty` is a type or a type variable, and live.
        unsafe {
            let names = (*(*jl_sys::jl_method_type).name).names;
            let sig = svec_items(names).iter().position(|name| symbol_str(name.cast()) == "sig");
            let Some(sig) = sig.and_then(|index| u32::try_from(index).ok()) else {
                return fail(Reason::InferredCode, "a method without a signature".into());
            };
            let mut node = self.node(Node::Field { parent: method, index: sig })?;
            let mut all = (*owner).sig;
            let mut variables = HashMap::new();
            let mut closed = ty;
            while is(all, jl_sys::jl_unionall_type) {
                let unionall = all.cast::<jl_unionall_t>();
                let variable: Value = (*unionall).var.cast();
                variables.insert(variable, self.node(Node::Field { parent: node, index: 0 }));
                if is_type(closed) {
                    closed = jl_sys::jl_type_unionall((*unionall).var, closed);
                } else if closed == variable {
                    closed = jl_sys::jl_any_type.cast();
                }
                node = self.node(Node::Field { parent: node, index: 1 })?;
                all = (*unionall).body;
            }
            if !is_type(closed) || jl_has_free_typevars(closed) != 0 {
                return fail(Reason::InferredCode, "a type variable of another method".into());
            }
            // What was described outside has variables of its own.
            let outside = std::mem::replace(&mut self.memo, variables);
            let described = self.describe(ty);
            self.memo = outside;
            described
        }
    }
}
