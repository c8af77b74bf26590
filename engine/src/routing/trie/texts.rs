//! The texts of the nodes, each stored once: short ones in the node, long ones here.

use super::members::ALLOCATION;
use super::slab::Slab;

/// A text in its node, or the part from byte `skip` on of one in [`Texts`].
pub(super) enum Text {
    Short { len: u8, bytes: [u8; Self::SHORT] },
    Long { id: u32, skip: u32 },
}

/// The long texts. Each belongs to one [`Text`].
pub(super) struct Texts {
    long: Slab<Box<[u8]>>,
    bytes: usize,
}

impl Text {
    /// With the tag and the length this fills 16 bytes, as much as a pointer to the heap takes.
    pub(super) const SHORT: usize = 14;
    pub(super) const EMPTY: Self = Self::Short {
        len: 0,
        bytes: [0; Self::SHORT],
    };

    fn short(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::SHORT];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self::Short {
            len: u8::try_from(text.len()).ok()?,
            bytes,
        })
    }
}

impl Texts {
    pub(super) const fn new() -> Self {
        Self {
            long: Slab::new(),
            bytes: 0,
        }
    }

    pub(super) fn store(&mut self, text: &[u8]) -> Text {
        Text::short(text).unwrap_or_else(|| {
            self.bytes += text.len() + ALLOCATION;
            Text::Long {
                id: self.long.insert(text.into()),
                skip: 0,
            }
        })
    }

    #[inline]
    pub(super) fn read<'a>(&'a self, text: &'a Text) -> &'a [u8] {
        match text {
            Text::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Text::Long { id, skip } => self
                .long
                .get(*id)
                .and_then(|text| text.get(*skip as usize..))
                .unwrap_or(&[]),
        }
    }

    pub(super) fn free(&mut self, text: Text) {
        if let Text::Long { id, .. } = text
            && let Some(text) = self.long.remove(id)
        {
            self.bytes -= text.len() + ALLOCATION;
        }
    }

    /// Cuts the first `count` bytes off and returns them as a text of their own. A long rest isn't copied.
    pub(super) fn split(&mut self, text: Text, count: usize) -> (Text, Text) {
        let (front, back) = {
            let whole = self.read(&text);
            let (front, back) = whole.split_at_checked(count).unwrap_or((whole, &[]));
            (
                Text::short(front).ok_or_else(|| Box::<[u8]>::from(front)),
                Text::short(back),
            )
        };
        let front = front.unwrap_or_else(|long| self.store(&long));
        let back = match (back, text) {
            (Some(back), text) => {
                self.free(text);
                back
            }
            (None, Text::Long { id, skip }) => Text::Long {
                id,
                skip: skip.saturating_add(u32::try_from(count).unwrap_or(u32::MAX)),
            },
            (None, short) => short,
        };
        (front, back)
    }

    /// Number of long texts.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.long.len()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.long.heap_bytes() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Text, Texts};

    #[test]
    fn a_text_is_split_and_freed_at_every_place() {
        let whole = "ä/fourteen bytes and a good many more".as_bytes();
        for len in 0..=whole.len() {
            for count in 0..=len {
                let mut texts = Texts::new();
                let text = texts.store(&whole[..len]);
                let (front, back) = texts.split(text, count);
                assert_eq!(texts.read(&front), &whole[..count]);
                assert_eq!(texts.read(&back), &whole[count..len]);
                let long =
                    usize::from(count > Text::SHORT) + usize::from(len - count > Text::SHORT);
                assert_eq!(texts.len(), long);
                let (middle, last) = texts.split(back, 1);
                assert_eq!(
                    [texts.read(&middle), texts.read(&last)].concat(),
                    &whole[count..len]
                );
                for text in [front, middle, last] {
                    texts.free(text);
                }
                assert_eq!((texts.len(), texts.bytes), (0, 0));
            }
        }
    }
}
