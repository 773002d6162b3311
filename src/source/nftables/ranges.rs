//! Which range does an element begin?
//!
//! In a set of ranges the kernel keeps ends as elements of their own. It tells them in the order of their keys, the greatest
//! first or last, so that one look at a neighbor is enough.

use std::borrow::Borrow;

use super::Element;
use super::instruction::Bytes;

/// Joins the elements of a set of ranges, in the order in which they come.
pub(super) struct Ranges<E> {
    way: Option<Way>,
    /// Key of the element before.
    before: Option<Bytes>,
    /// One that begins a range whose end has not come yet.
    open: Option<E>,
}

#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

impl<E> Default for Ranges<E> {
    fn default() -> Self {
        Self { way: None, before: None, open: None }
    }
}

impl<E: Borrow<Element>> Ranges<E> {
    /// Takes the next element and gives those to `visit` whose range is known by now, with the first key beyond it; ranges to
    /// the last key that there may be have none beyond.
    pub(super) fn push(&mut self, element: E, mut visit: impl FnMut(E, Option<&[u8]>)) {
        let (key, ends) = (element.borrow().key.clone(), element.borrow().ends_range());
        let Some(before) = self.before.replace(key.clone()) else {
            self.open = (!ends).then_some(element);
            return;
        };
        // where one range ends and another begins, the end is the lesser
        let goes_down = key < before || key == before && self.open.is_some();
        match *self.way.get_or_insert(if goes_down { Way::Down } else { Way::Up }) {
            Way::Up => {
                if let Some(open) = self.open.take() {
                    visit(open, Some(&key));
                }
                self.open = (!ends).then_some(element);
            }
            Way::Down => {
                self.finish(&mut visit);
                if !ends {
                    visit(element, Some(&before));
                }
            }
        }
    }

    /// Says that there are no more.
    pub(super) fn finish(&mut self, mut visit: impl FnMut(E, Option<&[u8]>)) {
        if let Some(open) = self.open.take() {
            visit(open, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element(key: u8, ends: bool) -> Element {
        Element {
            key: Bytes::from_slice(&[key]),
            key_end: None,
            flags: u32::from(ends),
            data: None,
            object: None,
            timeout: None,
            expires: None,
            with: Vec::new(),
            comment: None,
        }
    }

    fn joined(elements: impl Iterator<Item = Element>) -> Vec<(u8, Option<u8>)> {
        let (mut ranges, mut found) = (Ranges::default(), Vec::new());
        let mut visit =
            |element: Element, beyond: Option<&[u8]>| found.push((element.key[0], beyond.map(|key| key[0])));
        for element in elements {
            ranges.push(element, &mut visit);
        }
        ranges.finish(&mut visit);
        found.sort_unstable();
        found
    }

    proptest! {
        #[test]
        fn ranges_are_the_same_from_either_end(
            keys in proptest::collection::btree_set(any::<u8>(), 0..20),
            touch in proptest::collection::vec(any::<bool>(), 20),
            is_open in any::<bool>(),
        ) {
            let keys: Vec<u8> = keys.into_iter().collect();
            let (mut elements, mut expected) = (Vec::new(), Vec::new());
            for (pair, touches) in keys.chunks(2).zip(&touch) {
                let [from, beyond] = pair else { continue };
                // a range may begin where the one before ends
                let from = if *touches { expected.last().map_or(*from, |(_, beyond): &(u8, Option<u8>)| beyond.unwrap()) } else { *from };
                elements.extend([element(from, false), element(*beyond, true)]);
                expected.push((from, Some(*beyond)));
            }
            if is_open && let Some(last) = expected.last_mut() {
                last.1 = None;
                elements.pop();
            }
            prop_assert_eq!(&joined(elements.iter().cloned()), &expected);
            prop_assert_eq!(&joined(elements.into_iter().rev()), &expected);
        }

        #[test]
        fn each_beginning_has_one_range_whatever_is_told(elements in proptest::collection::vec((any::<u8>(), any::<bool>()), 0..20)) {
            let begin = elements.iter().filter(|(_, ends)| !ends).count();
            prop_assert_eq!(joined(elements.into_iter().map(|(key, ends)| element(key, ends))).len(), begin);
        }
    }
}
