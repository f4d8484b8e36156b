package rqat.verify.program;

/// What a sandboxed process tree may use.
///
/// @param memory    bytes: of address space for each process, and resident in all of them together with the folder
/// @param processes processes and threads at a time
/// @param files     open files of each process
/// @param folder    bytes: of the folder that it may write, which lies in memory, and of each file
/// @param output    bytes that are kept of what it writes; more ends it
/// @param seconds   of wall-clock time for the whole tree
public record Limits(long memory, int processes, int files, long folder, long output, double seconds) {
    private static final long MIB = 1 << 20;

    /// 4 GiB, 16 processes, 64 files, 16 MiB of folder and of output, one minute.
    public static final Limits DEFAULT = new Limits(4096 * MIB, 16, 64, 16 * MIB, 16 * MIB, 60);

    /// Checks the ranges.
    public Limits {
        if (memory < 64 * MIB || processes < 2 || files < 64 || folder < 4096 || output < 1 || !(seconds > 0)) {
            throw new IllegalArgumentException(
                    "limits of a sandbox: expected at least 64 MiB, 2 processes, 64 files, 4 KiB of folder, 1 byte of output and more than 0 seconds");
        }
    }

    /// These with another time.
    public Limits seconds(double seconds) {
        return new Limits(memory, processes, files, folder, output, seconds);
    }

    /// These with another memory.
    public Limits memory(long memory) {
        return new Limits(memory, processes, files, folder, output, seconds);
    }
}
