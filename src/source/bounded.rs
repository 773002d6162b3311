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

/// Of many things those with the largest score. While they come there are at most twice as many as are wanted, and whatever
/// is less than the least of those that have room is dropped at sight.
#[derive(Debug)]
pub struct Largest<S, T> {
    most: usize,
    kept: Vec<(S, T)>,
    /// What is less than this has no room.
    floor: Option<S>,
}

impl<S: Ord + Copy, T> Largest<S, T> {
    /// Keeps so many.
    pub fn new(most: usize) -> Self {
        Self { most, kept: Vec::new(), floor: None }
    }

    /// Whether one with this score has any.
    pub fn has_room(&self, score: S) -> bool {
        self.floor.is_none_or(|floor| score >= floor)
    }

    /// Takes one more if there is room.
    pub fn offer(&mut self, score: S, item: T) {
        if !self.has_room(score) {
            return;
        }
        self.kept.push((score, item));
        if self.kept.len() >= self.most.saturating_mul(2) {
            self.settle();
        }
    }

    /// Forgets those of which it is not so.
    pub fn retain(&mut self, is_so: impl Fn(&T) -> bool) {
        self.kept.retain(|(_, item)| is_so(item));
    }

    fn settle(&mut self) {
        if let Some(last) = self.most.checked_sub(1).filter(|_| self.kept.len() > self.most) {
            let (_, least, _) = self.kept.select_nth_unstable_by(last, |(a, _), (b, _)| b.cmp(a));
            self.floor = Some(least.0);
            self.kept.truncate(self.most);
        }
    }

    /// Takes out the largest, in no order, and begins anew.
    pub fn take(&mut self) -> Vec<T> {
        self.settle();
        self.floor = None;
        self.kept.drain(..).map(|(_, item)| item).collect()
    }

    /// Gives its memory back.
    pub fn shrink(&mut self) {
        self.kept = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_largest_are_kept_wherever_they_stand() {
        let mut largest = Largest::new(10);
        let score = |number: u32| number.wrapping_mul(2_654_435_761) % 100_003;
        (0..5000).for_each(|number| largest.offer(score(number), number));
        assert!(largest.kept.len() < 20);
        let mut kept = largest.take();
        let mut all: Vec<u32> = (0..5000).collect();
        all.sort_by_key(|number| std::cmp::Reverse(score(*number)));
        kept.sort_by_key(|number| std::cmp::Reverse(score(*number)));
        assert_eq!(kept, all[..10]);
        largest.offer(0, 7);
        assert_eq!(largest.take(), [7], "the next pass begins anew");
    }

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
