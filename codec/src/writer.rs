//! Writing the field types of the standard into a sink. MQTT 5 section 1.5.

use crate::error::EncodeError;
use crate::reader::VARIABLE_BYTE_INTEGER_MAX;

/// Where encoded bytes go: a fixed buffer on a board, a growing vector in the broker.
pub trait Sink {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`EncodeError::BufferFull`] when they don't fit; some of them may have been written.
    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError>;
}

/// A sink over a borrowed buffer.
#[derive(Debug)]
pub struct SliceWriter<'b> {
    buffer: &'b mut [u8],
    written: usize,
}

impl<'b> SliceWriter<'b> {
    /// Writes from the start of `buffer`.
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, written: 0 }
    }

    /// How many bytes have been written.
    pub const fn written(&self) -> usize {
        self.written
    }
}

impl Sink for SliceWriter<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let end = self.written + bytes.len();
        self.buffer
            .get_mut(self.written..end)
            .ok_or(EncodeError::BufferFull)?
            .copy_from_slice(bytes);
        self.written = end;
        Ok(())
    }
}

#[cfg(feature = "alloc")]
impl Sink for alloc::vec::Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// How many bytes `value` takes as a Variable Byte Integer: 1 to 4.
#[inline]
pub const fn variable_byte_integer_len(value: u32) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Writes `value` as a Variable Byte Integer in its shortest form. [MQTT-1.5.5-1]
///
/// # Errors
/// [`EncodeError::PacketTooLarge`] above 268,435,455.
#[inline]
pub fn put_variable_byte_integer(sink: &mut impl Sink, value: u32) -> Result<(), EncodeError> {
    if value > VARIABLE_BYTE_INTEGER_MAX {
        return Err(EncodeError::PacketTooLarge);
    }
    let [a, b, c, d] = [
        value & 0x7F,
        (value >> 7) & 0x7F,
        (value >> 14) & 0x7F,
        value >> 21,
    ]
    .map(low_byte);
    match variable_byte_integer_len(value) {
        1 => sink.put(&[a]),
        2 => sink.put(&[a | 0x80, b]),
        3 => sink.put(&[a | 0x80, b | 0x80, c]),
        _ => sink.put(&[a | 0x80, b | 0x80, c | 0x80, d]),
    }
}

#[inline]
const fn low_byte(value: u32) -> u8 {
    let [byte, ..] = value.to_le_bytes();
    byte
}

/// Writes Binary Data or a UTF-8 Encoded String: two bytes of length, then the bytes.
///
/// # Errors
/// [`EncodeError::FieldTooLong`] above 65,535 bytes.
#[inline]
pub fn put_binary(sink: &mut impl Sink, bytes: &[u8]) -> Result<(), EncodeError> {
    let length = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?;
    sink.put(&length.to_be_bytes())?;
    sink.put(bytes)
}

/// Writes a fixed header: first byte and Remaining Length.
///
/// # Errors
/// [`EncodeError::PacketTooLarge`] when `remaining_length` is above 268,435,455.
#[inline]
pub fn put_fixed_header(
    sink: &mut impl Sink,
    first_byte: u8,
    remaining_length: usize,
) -> Result<(), EncodeError> {
    let remaining_length =
        u32::try_from(remaining_length).map_err(|_| EncodeError::PacketTooLarge)?;
    sink.put(&[first_byte])?;
    put_variable_byte_integer(sink, remaining_length)
}
