//! Memory of work that has ended, kept for the next: a system clears pages slower than they are filled.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// What nobody uses now; at most as much as was used at the same time.
pub(super) struct Idle<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Idle<T> {
    fn default() -> Idle<T> {
        Idle(Arc::default())
    }
}

impl<T: Default> Idle<T> {
    /// What came back last, as it was left, or something new.
    pub(super) fn lend(&self) -> Lent<T> {
        Lent {
            value: self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()
                .unwrap_or_default(),
            home: Some(self.0.clone()),
        }
    }
}

/// Goes back where it came from when it is dropped.
pub(super) struct Lent<T: Default> {
    value: T,
    home: Option<Arc<Mutex<Vec<T>>>>,
}

impl<T: Default> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Default> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Default + Clone> Clone for Lent<T> {
    /// A copy that goes back nowhere.
    fn clone(&self) -> Lent<T> {
        Lent {
            value: self.value.clone(),
            home: None,
        }
    }
}

impl<T: Default> Drop for Lent<T> {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let value = mem::take(&mut self.value);
            home.lock().unwrap_or_else(PoisonError::into_inner).push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_comes_back_but_no_copy_does() {
        let idle = Idle::<Vec<u8>>::default();
        let (mut first, second) = (idle.lend(), idle.lend());
        first.push(7);
        drop(first.clone());
        assert!(idle.lend().is_empty(), "what came back was a copy");
        drop(second);
        drop(first);
        assert_eq!(*idle.lend(), [7]);
    }

    #[test]
    fn what_is_lent_outlives_where_it_came_from() {
        let idle = Idle::<Vec<u8>>::default();
        let mut lent = idle.lend();
        drop(idle);
        lent.push(7);
        assert_eq!(*lent, [7]);
    }
}
