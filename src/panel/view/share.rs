//! How is room shared among lists that want more than there is?

use super::FRAME;

/// Shares `room` among `wants`: first the least that shows anything, in order, then line by line what is still wanted.
pub(super) fn share(room: u16, wants: &[u16]) -> Vec<u16> {
    const LEAST: u16 = FRAME + 2;
    let mut left = room;
    let mut sizes: Vec<u16> = Vec::with_capacity(wants.len());
    for want in wants {
        let size = (*want).min(LEAST);
        let size = if size <= left { size } else { 0 };
        left -= size;
        sizes.push(size);
    }
    while left > 0 {
        let before = left;
        for (size, want) in sizes.iter_mut().zip(wants) {
            if *size > 0 && *size < *want && left > 0 {
                *size += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    if let Some(first) = sizes.first_mut() {
        *first += left;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_fairly_and_never_more_than_there_is() {
        assert_eq!(share(30, &[5, 5, 5]), [20, 5, 5]);
        assert_eq!(share(20, &[100, 6, 100]), [7, 6, 7]);
        assert_eq!(share(10, &[100, 100, 100]), [5, 5, 0]);
        assert_eq!(share(3, &[9]), [3]);
        for room in 0..60 {
            assert!(share(room, &[9, 30, 4, 500]).iter().sum::<u16>() <= room);
        }
    }
}
