//! Inferred code with what it refers to: its method's type variables stand in the descriptions of types.

use super::*;
use crate::objects::inferred::Portable;
use nativecache_julia::handles::make;

impl<'j> Describer<'j> {
    /// The node of the inferred code that `code` keeps, or kept, for its callers, in compressed form.
    ///
    /// # Errors
    /// If it cannot be understood, or something that it refers to cannot be described.
    ///
    /// # Safety
    /// `compressed` is the inferred code of `code`. No other thread uses its method.
    pub unsafe fn code(&mut self, code: CodeInstance<'j>, compressed: Object<'j>) -> Described {
        // SAFETY: as the caller says.
        let Portable { method: owner, bytes, roots, places } =
            unsafe { Portable::of(self.julia, code, compressed) }?;
        let method = self.node(owner.into())?;
        let mut described = Vec::with_capacity(roots.len());
        for root in roots {
            let open = (root.is_type() || root.is::<TypeVar<'j>>()) && root.has_free_variables();
            described.push(if open { self.open_type(root, owner, method)? } else { self.node(root)? });
        }
        self.add(Node::InferredCode { method, bytes, roots: described, places })
    }

    /// A type with free variables, those of its method's signature: `ccall(…, Ref{T}, …)` in a method `where T`.
    /// They are the signature's own variables, which inlining replaces; others with the same names are not.
    fn open_type(&mut self, ty: Object<'j>, owner: Method<'j>, method: NodeId) -> Described {
        let Some(index) = index_of_signature(owner) else {
            return fail(Reason::InferredCode, "a method without a signature");
        };
        let mut node = self.add(Node::Field { parent: method, index })?;
        let mut all = owner.signature();
        let mut variables = FxHashMap::default();
        let mut closed = Some(ty);
        while let Some(unionall) = all.as_kind::<UnionAll<'j>>() {
            let variable = unionall.variable();
            variables.insert(variable.object(), self.add(Node::Field { parent: node, index: 0 }));
            closed = closed.and_then(|closed| self.close(closed, variable));
            node = self.add(Node::Field { parent: node, index: 1 })?;
            all = unionall.body();
        }
        if !closed.is_some_and(|closed| closed.is_type() && !closed.has_free_variables()) {
            return fail(Reason::InferredCode, "a type variable of another method");
        }
        // What was described outside has variables of its own.
        let outside = std::mem::replace(&mut self.memo, variables);
        let described = self.node(ty);
        self.memo = outside;
        described
    }

    /// A type in which `variable` is bound by a `where`; of the variable itself, some type.
    fn close(&self, ty: Object<'j>, variable: TypeVar<'j>) -> Option<Object<'j>> {
        if ty.is_type() {
            make::union_all(variable, ty)
        } else if ty == variable.object() {
            Some(make::any(self.julia))
        } else {
            Some(ty)
        }
    }
}

/// Which field of a method is its signature.
fn index_of_signature(method: Method<'_>) -> Option<u32> {
    let names = method.object().type_of().field_names();
    names.iter().position(|name| name.as_str() == "sig").and_then(|index| u32::try_from(index).ok())
}
