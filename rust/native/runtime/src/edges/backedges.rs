//! Edges in the direction that Julia keeps: who is invalidated with what.

use nativecache_image::{EdgeId, EdgeTarget, Image};
use nativecache_julia::handles::{MethodInstance, MethodTable};
use nativecache_mutation::mutation;

use crate::load::moment::Moment;
use crate::objects::resolve::Resolver;

/// Lists longer than this are appended to without a look through all of them: Julia looks through the whole list each time,
/// which is quadratic for a callee with thousands of callers. An entry that stands twice is invalidated twice: harmless.
const LONG: usize = 64;

/// Tells Julia that `caller` depends on this edge, so that it invalidates it like any other code.
pub(crate) fn add<'j>(
    moment: &Moment<'j>,
    image: &Image<'_>,
    resolver: &Resolver,
    edge: EdgeId,
    caller: MethodInstance<'j>,
) {
    let Ok(edge) = image.edge(edge) else { return };
    match edge.target {
        EdgeTarget::MethodInstance(node) => {
            let Ok(callee) = resolver.instance(moment.julia, node) else { return };
            // SAFETY: no other thread changes the list, as the moment proves.
            unsafe {
                if callee.backedge_count() < LONG {
                    mutation!("backedges: none on method instances", callee.add_backedge(caller), ());
                } else if !callee.was_lately_added(caller, LONG) {
                    callee.append_backedge(caller);
                }
            }
        }
        EdgeTarget::Generated(_) | EdgeTarget::Constant(_) => {}
        EdgeTarget::Signature(node) => {
            let Ok(signature) = resolver.object(moment.julia, node) else { return };
            let Some(table) = MethodTable::of_signature(signature) else { return };
            // SAFETY: no other thread changes the list, as the moment proves.
            unsafe {
                if table.backedge_count() < LONG {
                    mutation!("backedges: none on method tables", table.add_backedge(signature, caller), ());
                } else {
                    table.append_backedge(signature, caller);
                }
            }
        }
    }
}
