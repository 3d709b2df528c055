//! The name of the process in `ps`: what the kernel shows is the memory in which the arguments came,
//! so a title is written over them, and over the environment behind them when it is longer.

/// Names the process. Returns whether the system allows it.
#[cfg(target_os = "linux")]
pub(super) fn set(title: &str) -> bool {
    use std::sync::{Mutex, PoisonError};

    static AREA: Mutex<Option<linux::TitleArea>> = Mutex::new(None);

    // A poisoned lock guards plain numbers, which are valid whatever happened.
    let mut area = AREA.lock().unwrap_or_else(PoisonError::into_inner);
    if area.is_none() {
        *area = linux::TitleArea::locate();
    }
    area.as_mut().is_some_and(|area| area.write(title))
}

/// Elsewhere the arguments' memory is not what `ps` reads, or not found this way.
#[cfg(not(target_os = "linux"))]
pub(super) fn set(_title: &str) -> bool {
    false
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CString, c_char};
    use std::{fs, ptr, slice};

    /// Addresses of the arguments and of the environment, which the kernel puts right behind them.
    pub(super) struct TitleArea {
        start: usize,
        arguments_end: usize,
        end: usize,
        environment_moved: bool,
    }

    unsafe extern "C" {
        static mut environ: *mut *mut c_char;
    }

    impl TitleArea {
        /// From /proc/self/stat (fields 48 to 51, `proc_pid_stat(5)`).
        pub(super) fn locate() -> Option<Self> {
            let stat = fs::read_to_string("/proc/self/stat").ok()?;
            // The program's name, in parentheses, may hold anything, also blanks.
            let (_, fields) = stat.rsplit_once(')')?;
            let mut numbers = fields.split_ascii_whitespace().skip(45).map(str::parse);
            let mut next = || numbers.next()?.ok();
            let (start, arguments_end): (usize, usize) = (next()?, next()?);
            let (environment, environment_end): (usize, usize) = (next()?, next()?);
            if start == 0 || arguments_end <= start {
                return None;
            }
            let joined = environment == arguments_end && environment_end > environment;
            let end = if joined { environment_end } else { arguments_end };
            Some(Self { start, arguments_end, end, environment_moved: false })
        }

        pub(super) fn write(&mut self, title: &str) -> bool {
            let arguments_len = self.arguments_end - self.start;
            let mut bytes: Vec<u8> = title.bytes().map(|b| if b == 0 { b' ' } else { b }).collect();
            if bytes.len() >= arguments_len && !self.environment_moved {
                move_environment();
                self.environment_moved = true;
            }
            let room = if self.environment_moved { self.end - self.start } else { arguments_len };
            bytes.truncate(room - 1);
            // SAFETY: the kernel mapped this memory writable for the life of the process. Nothing
            // relies on the old arguments: libuv copied them at start. If the environment is in
            // `room` it has been moved out. JavaScript threads write titles under a lock.
            let area = unsafe { slice::from_raw_parts_mut(self.start as *mut u8, room) };
            let (text, rest) = area.split_at_mut(bytes.len());
            text.copy_from_slice(&bytes);
            rest.fill(0);
            if bytes.len() + 1 < arguments_len {
                // With a byte at the arguments' end the kernel takes it for a title and ends it at
                // its zero; else `ps` shows the rest of the area as blanks.
                area[arguments_len - 1] = b'.';
            }
            set_command(&bytes);
            true
        }
    }

    /// Copies the environment to memory of its own. The copy is never freed: `getenv` hands out
    /// pointers into it.
    fn move_environment() {
        let mut copy: Vec<*mut c_char> = Vec::new();
        // SAFETY: `environ` is null or a list of C strings that ends with null. No other thread
        // changes it meanwhile: Node changes the environment on the thread that calls this, and the
        // engine's threads only read it. A reader sees the old list or the new one, both valid.
        unsafe {
            let mut entry = environ;
            while !entry.is_null() && !(*entry).is_null() {
                copy.push(libc::strdup(*entry));
                entry = entry.add(1);
            }
            copy.push(ptr::null_mut());
            environ = Box::leak(copy.into_boxed_slice()).as_mut_ptr();
        }
    }

    /// The short name, which `ps -o comm`, `top` and `pkill` use; the kernel keeps 15 bytes.
    fn set_command(title: &[u8]) {
        let Ok(name) = CString::new(&title[..title.len().min(15)]) else {
            return;
        };
        // SAFETY: a C string that lives through the call.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}
