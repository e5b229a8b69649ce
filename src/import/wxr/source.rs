//! The file as a stream: bytes and lines counted, characters that XML forbids left out.

use std::io::{self, BufRead, Read};

/// How many bytes one record (a story with all its comments) may have.
const MAX_RECORD: u64 = 64 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;

/// A reader that drops the control characters XML 1.0 §2.2 forbids, which real exports hold.
pub(super) struct Source<R> {
    inner: R,
    chunk: Vec<u8>,
    at: usize,
    line: u64,
    read: u64,
    record: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, chunk: Vec::new(), at: 0, line: 1, read: 0, record: 0 }
    }

    /// The line that is being read, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Bytes taken from the file so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// A new record begins: it may be as long as the one before.
    pub(super) fn begin_record(&mut self) {
        self.record = 0;
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at >= self.chunk.len() {
            self.chunk.resize(CHUNK, 0);
            self.at = 0;
            let count = match self.inner.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => {
                    self.chunk.clear();
                    return Err(error);
                }
                Ok(0) => {
                    self.chunk.clear();
                    return Ok(&[]);
                }
                Ok(count) => count,
            };
            self.chunk.truncate(count);
            self.chunk.retain(|&byte| !is_forbidden(byte));
            self.read += u64::try_from(count).unwrap_or_default();
        }
        if self.record > MAX_RECORD {
            let message = format!("one record is larger than {} MB", MAX_RECORD >> 20);
            return Err(io::Error::other(message));
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, count: usize) {
        let end = (self.at + count).min(self.chunk.len());
        let lines = self.chunk[self.at..end].iter().filter(|&&b| b == b'\n');
        self.line += u64::try_from(lines.count()).unwrap_or_default();
        self.record += u64::try_from(count).unwrap_or_default();
        self.at = end;
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Control characters are single bytes in UTF-8 and part of no other character.
fn is_forbidden(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t')
}
