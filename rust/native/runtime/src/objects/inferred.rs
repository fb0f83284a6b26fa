//! Inferred code, carried from one process to another: what callers may inline.
//!
//! The form in which a code instance keeps it (dump.c, `jl_compress_ir`) refers to types, functions and
//! constants by their number among the roots of its method, and every process numbers those that
//! inference added in its own way. So the numbers are found at build, the objects described, and at
//! load the numbers of this session put in their places.

use nativecache_image::Reason;
use nativecache_julia::handles::{make, Array, CodeInfo, CodeInstance, Expr, Method, Object, QuoteNode};
use nativecache_julia::method_roots::Roots;
use nativecache_julia::stopped::Stopped;

use crate::error::Undescribable;

/// Inferred code in a form that does not depend on the process.
#[derive(Clone, Debug)]
pub struct Portable<'j> {
    /// The method whose code it is.
    pub method: Method<'j>,
    /// Compressed, with the number in `roots` at each of `places`.
    pub bytes: Vec<u8>,
    /// What it refers to, in the order of first mention.
    pub roots: Vec<Object<'j>>,
    /// Where in `bytes` a half-word holds the number of a root.
    pub places: Vec<u32>,
}

/// Roots below this number are written in one byte (dump.c, `TAG_METHODROOT`); from it on in two.
const SHORT_ROOTS: usize = 256;

/// The compressed form was not what it is expected to be.
fn not_understood(detail: &str) -> Undescribable {
    Undescribable {
        reason: Reason::InferredCode,
        detail: format!("its compressed form is not understood: {detail}"),
    }
}

impl<'j> Portable<'j> {
    /// Finds out which bytes of the compressed form are numbers of roots: it is made twice, with
    /// differently many roots before those that it needs, and only these numbers differ.
    ///
    /// # Errors
    /// If an address stands in it as plain bits, or its form is not understood.
    ///
    /// # Safety
    /// `data` is the inferred code of `code`, as it keeps or kept it. No other thread uses its method.
    pub unsafe fn of(
        julia: &'j Stopped,
        code: CodeInstance<'j>,
        data: Object<'j>,
    ) -> Result<Self, Undescribable> {
        let method = code.method_instance().method().ok_or_else(|| not_understood("no method"))?;
        let info = CodeInfo::from_inferred(code, data).ok_or_else(|| not_understood("no code"))?;
        if let Some(statement) = holds_address(info) {
            let detail = format!("in statement {statement} of its inferred code");
            return Err(Undescribable { reason: Reason::IntegerAddress, detail });
        }
        let own = method.roots();
        // SAFETY: as the caller says; the method gets its own roots back.
        let (first, second) = unsafe {
            let first = compress(julia, method, info, SHORT_ROOTS);
            let second = compress(julia, method, info, 2 * SHORT_ROOTS);
            method.set_roots(own);
            (first, second)
        };
        let (Some((first, roots)), Some((second, again))) = (first, second) else {
            return Err(not_understood("nothing was written"));
        };
        if roots != again || first.len() != second.len() {
            return Err(not_understood("two runs differ"));
        }
        let (bytes, places) = number_roots(&first, &second, roots.len())?;
        Ok(Portable { method, bytes, roots, places })
    }
}

/// Where two compressed forms differ there are numbers of roots, in the second greater by [`SHORT_ROOTS`]. Gives the first
/// with indices into the roots that the code needs, of which there are `count`, in their places; and these places.
fn number_roots(first: &[u8], second: &[u8], count: usize) -> Result<(Vec<u8>, Vec<u32>), Undescribable> {
    let mut bytes = first.to_vec();
    let mut places = Vec::new();
    for at in (0..first.len()).filter(|at| first[*at] != second[*at]) {
        // The numbers differ by 256: in the upper byte.
        let place = at.checked_sub(1).ok_or_else(|| not_understood("a number without its lower byte"))?;
        let number = |bytes: &[u8]| usize::from(u16::from_le_bytes([bytes[place], bytes[at]]));
        let index = number(first).wrapping_sub(SHORT_ROOTS);
        if number(second) != number(first) + SHORT_ROOTS || index >= count {
            return Err(not_understood("a number that is not one of a root"));
        }
        let index = u16::try_from(index).map_err(|_| not_understood("too many roots"))?;
        bytes[place..=at].copy_from_slice(&index.to_le_bytes());
        places.push(u32::try_from(place).map_err(|_| not_understood("it is too long"))?);
    }
    Ok((bytes, places))
}

/// Compresses `code` as if its method had `before` other roots; returns those that it needs, too.
///
/// # Safety
/// It is code of this method, which no other thread uses, and which gets its own roots back.
unsafe fn compress<'j>(
    julia: &'j Stopped,
    method: Method<'j>,
    code: CodeInfo<'j>,
    before: usize,
) -> Option<(Vec<u8>, Vec<Object<'j>>)> {
    // A fresh vector is equal to nothing that code refers to.
    let others = (0..before).map(|_| Some(Array::of_any(julia, std::iter::empty()).object()));
    let roots = Array::of_any(julia, others);
    // SAFETY: as the caller says.
    let compressed = unsafe {
        method.set_roots(Some(roots));
        code.compress(method)?
    };
    let needed = method.roots().into_iter().flat_map(Array::items).skip(before);
    Some((compressed.bytes().to_vec(), needed.collect()))
}

/// The first statement in which an address stands as plain bits: a `Ptr`, or a tuple that holds one.
/// What is a root of its own is looked at when it is described.
fn holds_address(code: CodeInfo<'_>) -> Option<usize> {
    let mut statements = code.statements().into_iter().flat_map(Array::places);
    statements.position(|statement| statement.is_some_and(|statement| bits_with_address(statement, 0)))
}

fn bits_with_address(node: Object<'_>, depth: u32) -> bool {
    if depth > 64 {
        return true;
    }
    if let Some(expr) = node.as_kind::<Expr<'_>>() {
        let mut arguments = expr.arguments().into_iter().flat_map(Array::items);
        return arguments.any(|argument| bits_with_address(argument, depth + 1));
    }
    if let Some(quoted) = node.as_kind::<QuoteNode<'_>>() {
        return quoted.value().is_some_and(|value| bits_with_address(value, depth + 1));
    }
    is_address(node)
}

/// Is it a value of plain bits that holds an address, other than null?
pub(super) fn is_address(object: Object<'_>) -> bool {
    let bits = object.bits().filter(|_| !object.is_type() && object.type_of().holds_address());
    bits.is_some_and(|bits| bits.iter().any(|byte| *byte != 0))
}

/// The compressed form for this session: adds the roots to the method, as `jl_compress_ir` does, and
/// writes their numbers. `None` if there is no room, or one of `places` is not that of a half-word in `bytes` which holds
/// an index into `roots`.
pub fn unpack<'j>(
    julia: &'j Stopped,
    known: &mut Roots,
    method: Method<'j>,
    bytes: &[u8],
    roots: &[Object<'j>],
    mut places: impl Iterator<Item = u32>,
) -> Option<Array<'j>> {
    let numbers = known.add(method, roots)?;
    make::byte_vector(julia, bytes, |data| {
        places.try_for_each(|place| {
            let place = place as usize;
            let two = data.get_mut(place..place + 2)?;
            let number = numbers.get(usize::from(u16::from_le_bytes([two[0], two[1]])))?;
            two.copy_from_slice(&number.to_le_bytes());
            Some(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_short_roots_is_a_number() {
        // A tag, root 256 + 1, a byte, root 256.
        let first = [7, 1, 1, 9, 0, 1];
        let second = [7, 1, 2, 9, 0, 2];
        let (bytes, places) = number_roots(&first, &second, 2).expect("two numbers");
        assert_eq!((bytes.as_slice(), places.as_slice()), ([7, 1, 0, 9, 0, 0].as_slice(), [1, 4].as_slice()));
        assert!(number_roots(&first, &second, 1).is_err(), "there is no second root");
        assert!(number_roots(&[1, 1], &[1, 3], 9).is_err(), "the numbers differ by something else");
        assert!(number_roots(&[1], &[2], 9).is_err(), "no lower byte");
    }
}
