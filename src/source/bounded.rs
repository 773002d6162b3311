//! What becomes of the things that are more than anybody reads?
//!
//! Memory must not grow with what a stranger makes; what is left out is counted, so that it can be told.

/// The first things of many, and how many came after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded<T> {
    kept: Vec<T>,
    most: usize,
    left_out: usize,
}

impl<T> Bounded<T> {
    /// Keeps at most so many.
    pub fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, left_out: 0 }
    }

    /// Keeps one more if there is room.
    pub fn push(&mut self, item: T) {
        if self.kept.len() < self.most {
            self.kept.push(item);
        } else {
            self.leave_out();
        }
    }

    /// Counts one that there is no room for anyway.
    pub fn leave_out(&mut self) {
        self.left_out = self.left_out.saturating_add(1);
    }

    /// How far it has come.
    pub fn mark(&self) -> (usize, usize) {
        (self.kept.len(), self.left_out)
    }

    /// Forgets what came after a mark.
    pub fn back_to(&mut self, (kept, left_out): (usize, usize)) {
        self.kept.truncate(kept);
        self.left_out = left_out;
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.back_to((0, 0));
    }

    /// What was kept.
    pub fn kept(&self) -> &[T] {
        &self.kept
    }

    /// What was kept, to be changed.
    pub fn kept_mut(&mut self) -> &mut [T] {
        &mut self.kept
    }

    /// Takes what was kept.
    pub fn into_kept(self) -> Vec<T> {
        self.kept
    }

    /// How many were not.
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

impl<T> Extend<T> for Bounded<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted() {
        let mut all = Bounded::new(2);
        all.extend([1, 2, 3, 4]);
        assert_eq!((all.kept(), all.left_out()), (&[1, 2][..], 2));
        all.clear();
        all.push(5);
        let mark = all.mark();
        all.extend([6, 7]);
        assert_eq!((all.kept(), all.left_out()), (&[5, 6][..], 1));
        all.back_to(mark);
        assert_eq!((all.into_kept(), mark), (vec![5], (1, 0)));
    }
}
