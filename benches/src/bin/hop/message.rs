//! What is in a message: its number in the first and last word of every line, so
//! that no line of it can be left behind.

/// Words of a cache line.
const LINE: usize = 8;

/// Ends an echo thread.
pub const STOP: u64 = u64::MAX;

/// Writes the number.
#[inline(always)]
pub fn number<const W: usize>(message: &mut [u64; W], number: u64) {
    for line in message.chunks_exact_mut(LINE) {
        line[0] = number;
        line[LINE - 1] = !number;
    }
}

/// Whether the whole message has this number.
#[inline(always)]
pub fn is<const W: usize>(message: &[u64; W], number: u64) -> bool {
    let mut wrong = 0;
    for line in message.chunks_exact(LINE) {
        wrong |= (line[0] ^ number) | (line[LINE - 1] ^ !number);
    }
    wrong == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_older_message_is_found() {
        let mut message = [0; 56];
        number(&mut message, 7);
        assert!(is(&message, 7) && !is(&message, 8));
        for line in 0..7 {
            let mut torn = message;
            torn[line * LINE + 7] = !6;
            assert!(!is(&torn, 7), "line {line}");
        }
    }
}
