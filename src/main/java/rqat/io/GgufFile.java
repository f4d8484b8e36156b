package rqat.io;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import rqat.Failure;

/// A GGUF file of version 2 or 3, mapped: magic, version, counts, metadata, a list of tensors, then their data
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Nothing is copied but the metadata; a tensor's pages are read when it is touched.
///
/// Everything before the data is checked on opening, and nothing in the file can make us allocate more than a small multiple of its own bytes:
/// counts and lengths must fit what is left of the file, names occur once, texts are UTF-8, tensors follow each other in the order of the list
/// with padding to the alignment only, as llama.cpp demands, and end inside the file. After [#close()] every tensor throws on access.
public final class GgufFile implements AutoCloseable {

    /// Metadata and the list of tensors may take this many bytes; the largest published vocabularies need 20 MB.
    static final long MAXIMUM_HEADER_BYTES = 100_000_000;

    /// The first four bytes as a little-endian number: `GGUF`.
    static final int MAGIC = 0x46554747;
    static final String ALIGNMENT = "general.alignment";
    static final int DEFAULT_ALIGNMENT = 32;
    static final int MAXIMUM_DIMENSIONS = 4;

    /// More than four times what the largest published vocabularies and models need.
    private static final int MAXIMUM_ELEMENTS = 1 << 22;

    private static final int MAXIMUM_ENTRIES = 1 << 16;
    private static final int MAXIMUM_ALIGNMENT = 1 << 20;
    private static final int MAXIMUM_DEPTH = 4;

    private final Path path;
    private final Arena arena;
    private final SequencedMap<String, GgufValue> metadata;
    private final SequencedMap<String, GgufTensor> tensors;

    private GgufFile(Path path, Arena arena, SequencedMap<String, GgufValue> metadata, SequencedMap<String, GgufTensor> tensors) {
        this.path = path;
        this.arena = arena;
        this.metadata = Collections.unmodifiableSequencedMap(metadata);
        this.tensors = Collections.unmodifiableSequencedMap(tensors);
    }

    /// Maps and checks a file.
    ///
    /// @throws Failure of kind BAD_FILE naming the file, the key or tensor, what was found and what was expected
    public static GgufFile open(Path path) {
        return MappedFile.open(path, "GGUF", (file, arena) -> new Reader(path, file).read(arena));
    }

    /// The file.
    public Path path() {
        return path;
    }

    /// All metadata, in the order of the file.
    public SequencedMap<String, GgufValue> metadata() {
        return metadata;
    }

    /// All tensors by name, in the order of their bytes in the file.
    public SequencedMap<String, GgufTensor> tensors() {
        return tensors;
    }

    /// The text under `key`, if there is something.
    ///
    /// @throws Failure BAD_FILE when it is no text; so do the other getters
    public Optional<String> text(String key) {
        return get(key, GgufValue.Type.STRING, "a text").map(String.class::cast);
    }

    /// The true or false under `key`.
    public Optional<Boolean> flag(String key) {
        return get(key, GgufValue.Type.BOOL, "true or false").map(Boolean.class::cast);
    }

    /// The whole number from 0 to 2^31 - 1 under `key`, whatever integer type it has.
    public Optional<Integer> wholeNumber(String key) {
        GgufValue value = metadata.get(key);
        if (value == null) return Optional.empty();
        if (value.type().isWhole() && value.content() instanceof Long number && number >= 0 && number <= Integer.MAX_VALUE) {
            return Optional.of(number.intValue());
        }
        throw unexpected(key, value, "a whole number from 0 to 2^31 - 1");
    }

    /// The finite number under `key`, whole or not.
    public Optional<Double> number(String key) {
        GgufValue value = metadata.get(key);
        if (value == null) return Optional.empty();
        if (value.content() instanceof Double number && Double.isFinite(number)) return Optional.of(number);
        if (value.content() instanceof Long number && (number >= 0 || value.type() != GgufValue.Type.UINT64)) return Optional.of(number.doubleValue());
        throw unexpected(key, value, "a finite number");
    }

    /// The texts under `key`.
    public Optional<List<String>> texts(String key) {
        return elements(key, GgufValue.Type.STRING, "an array of texts").map(list -> list.stream().map(String.class::cast).toList());
    }

    /// The whole numbers from -2^31 to 2^31 - 1 under `key`, whatever integer type they have.
    public Optional<List<Integer>> wholeNumbers(String key) {
        GgufValue value = metadata.get(key);
        if (value == null) return Optional.empty();
        String expected = "an array of whole numbers of 32 bits";
        if (!(value.content() instanceof GgufValue.Elements elements) || !elements.type().isWhole()) throw unexpected(key, value, expected);
        var numbers = new ArrayList<Integer>(elements.contents().size());
        for (Object content : elements.contents()) {
            long number = (Long) content;
            if (number != (int) number) throw unexpected(key, new GgufValue(elements.type(), content), expected);
            numbers.add((int) number);
        }
        return Optional.of(numbers);
    }

    private Optional<Object> get(String key, GgufValue.Type type, String expected) {
        GgufValue value = metadata.get(key);
        if (value != null && value.type() != type) throw unexpected(key, value, expected);
        return Optional.ofNullable(value).map(GgufValue::content);
    }

    private Optional<List<Object>> elements(String key, GgufValue.Type type, String expected) {
        GgufValue value = metadata.get(key);
        if (value == null) return Optional.empty();
        if (value.content() instanceof GgufValue.Elements elements && (elements.type() == type || elements.contents().isEmpty())) {
            return Optional.of(elements.contents());
        }
        throw unexpected(key, value, expected);
    }

    private Failure unexpected(String key, GgufValue value, String expected) {
        String found = value.content() instanceof GgufValue.Elements elements
                ? "an array of %d %s".formatted(elements.contents().size(), elements.type())
                : value.type() + " " + Failure.quote(value.content().toString());
        return Failure.badFile("%s: %s is %s; expected %s".formatted(path, Failure.quote(key), found, expected));
    }

    @Override
    public void close() {
        arena.close();
    }

    /// A tensor of the list before its place has been checked.
    private record Entry(String name, GgmlType type, long[] shape, long offset) {}

    /// One pass over everything before the data.
    private static final class Reader {
        private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
        private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
        private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

        private final Path path;
        private final MemorySegment file;
        private final long end;
        private final SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
        private long position;
        /// Array elements read so far.
        private long elements;

        Reader(Path path, MemorySegment file) {
            this.path = path;
            this.file = file;
            this.end = Math.min(file.byteSize(), MAXIMUM_HEADER_BYTES);
        }

        GgufFile read(Arena arena) {
            checkStart();
            long tensorCount = count("the number of tensors", 8 + 4 + 8 + 4 + 8);
            long keyCount = count("the number of metadata keys", 8 + 4 + 1);
            if (tensorCount > MAXIMUM_ENTRIES || keyCount > MAXIMUM_ENTRIES) {
                throw bad("%d tensors and %d metadata keys; expected at most %d of each".formatted(tensorCount, keyCount, MAXIMUM_ENTRIES));
            }
            for (long i = 0; i < keyCount; i++) {
                String key = text("the name of metadata key " + i);
                GgufValue value = value(type(key), key, 0);
                if (metadata.putIfAbsent(key, value) != null) throw bad("metadata key %s occurs twice; expected once".formatted(Failure.quote(key)));
            }
            var entries = new LinkedHashMap<String, Entry>();
            for (long i = 0; i < tensorCount; i++) {
                Entry entry = entry(i);
                if (entries.putIfAbsent(entry.name, entry) != null) throw bad("tensor %s occurs twice; expected once".formatted(Failure.quote(entry.name)));
            }
            return new GgufFile(path, arena, metadata, layOut(entries));
        }

        private void checkStart() {
            if (file.byteSize() < 24) throw bad("the file has %d bytes; expected at least the 24 of a GGUF header".formatted(file.byteSize()));
            int magic = file.get(INT, 0);
            if (magic != MAGIC) {
                byte[] start = file.asSlice(0, 8).toArray(ValueLayout.JAVA_BYTE);
                if (new String(start, StandardCharsets.ISO_8859_1).equals("version ")) {
                    throw bad("this is a Git LFS pointer, not the file itself; run `git lfs pull` or download it again");
                }
                throw bad("the file does not begin with `GGUF`; expected a GGUF file");
            }
            int version = file.get(INT, 4);
            if (Integer.reverseBytes(version) == 3) throw bad("a big-endian GGUF file; expected a little-endian one");
            if (version != 2 && version != 3) throw bad("GGUF version %s; expected 2 or 3".formatted(Integer.toUnsignedString(version)));
            position = 8;
        }

        /// A number of things that take at least `smallestBytes` each.
        private long count(String what, int smallestBytes) {
            long count = longNumber(what);
            if (count < 0 || count > (end - position) / smallestBytes) {
                throw bad("%s is %s, which cannot fit the %d bytes that follow%s (a broken download?)"
                        .formatted(what, Long.toUnsignedString(count), end - position, bounded()));
            }
            return count;
        }

        private void need(long bytes, String what) {
            if (bytes > end - position) {
                throw bad("%s goes on beyond byte %d, where the %s".formatted(what, end, file.byteSize() > end ? "largest header that we read ends" : "file ends"));
            }
        }

        private String bounded() {
            return file.byteSize() > end ? " of the largest header that we read" : "";
        }

        private int number(String what) {
            need(4, what);
            int value = file.get(INT, position);
            position += 4;
            return value;
        }

        private long longNumber(String what) {
            need(8, what);
            long value = file.get(LONG, position);
            position += 8;
            return value;
        }

        private String text(String what) {
            long length = count("the length of " + what, 1);
            byte[] bytes = file.asSlice(position, length).toArray(ValueLayout.JAVA_BYTE);
            position += length;
            try {
                return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            } catch (CharacterCodingException e) {
                throw Failure.badFile("%s: %s is not UTF-8".formatted(path, what), e);
            }
        }

        private GgufValue.Type type(String key) {
            int id = number("the type of " + Failure.quote(key));
            GgufValue.Type[] types = GgufValue.Type.values();
            if (id < 0 || id >= types.length) {
                throw bad("%s has the type %s; expected 0 to %d".formatted(Failure.quote(key), Integer.toUnsignedString(id), types.length - 1));
            }
            return types[id];
        }

        private GgufValue value(GgufValue.Type type, String key, int depth) {
            if (type != GgufValue.Type.ARRAY) return new GgufValue(type, scalar(type, key));
            if (depth == MAXIMUM_DEPTH) throw bad("%s is an array nested deeper than %d; expected less".formatted(Failure.quote(key), MAXIMUM_DEPTH));
            GgufValue.Type elementType = type(key);
            long count = count("the length of " + Failure.quote(key), elementType.smallestBytes());
            elements += count;
            if (elements > MAXIMUM_ELEMENTS) throw bad("arrays up to %s have more than %d elements; expected fewer".formatted(Failure.quote(key), MAXIMUM_ELEMENTS));
            var contents = new ArrayList<Object>();
            for (long i = 0; i < count; i++) contents.add(value(elementType, key, depth + 1).content());
            return new GgufValue(type, new GgufValue.Elements(elementType, contents));
        }

        private Object scalar(GgufValue.Type type, String key) {
            if (type == GgufValue.Type.STRING) return text(Failure.quote(key));
            int bytes = type.smallestBytes();
            need(bytes, Failure.quote(key));
            long at = position;
            position += bytes;
            return switch (type) {
                case UINT8 -> file.get(ValueLayout.JAVA_BYTE, at) & 0xffL;
                case INT8 -> (long) file.get(ValueLayout.JAVA_BYTE, at);
                case UINT16 -> file.get(SHORT, at) & 0xffffL;
                case INT16 -> (long) file.get(SHORT, at);
                case UINT32 -> file.get(INT, at) & 0xffffffffL;
                case INT32 -> (long) file.get(INT, at);
                case UINT64, INT64 -> file.get(LONG, at);
                case FLOAT32 -> (double) Float.intBitsToFloat(file.get(INT, at));
                case FLOAT64 -> Double.longBitsToDouble(file.get(LONG, at));
                case BOOL -> {
                    byte value = file.get(ValueLayout.JAVA_BYTE, at);
                    if (value != 0 && value != 1) throw bad("%s is a truth value of %d; expected 0 or 1".formatted(Failure.quote(key), value));
                    yield value == 1;
                }
                case STRING, ARRAY -> throw new AssertionError(type);
            };
        }

        private Entry entry(long index) {
            String name = text("the name of tensor " + index);
            String quoted = Failure.quote(name);
            int dimensions = number("the number of dimensions of " + quoted);
            if (dimensions < 1 || dimensions > MAXIMUM_DIMENSIONS) {
                throw bad("%s has %s dimensions; expected 1 to %d".formatted(quoted, Integer.toUnsignedString(dimensions), MAXIMUM_DIMENSIONS));
            }
            long[] shape = new long[dimensions];
            for (int i = dimensions - 1; i >= 0; i--) shape[i] = longNumber("the shape of " + quoted);
            int id = number("the type of " + quoted);
            GgmlType type = GgmlType.of(id).orElseThrow(() -> bad(("%s is of type %s, which rqat does not read; it reads F32, F16, BF16, Q8_0, Q4_0, Q4_1 and"
                    + " Q2_0 (42). Convert the original model to one of them").formatted(quoted, GgmlType.name(id))));
            return new Entry(name, type, shape, longNumber("the offset of " + quoted));
        }

        private int alignment() {
            GgufValue value = metadata.get(ALIGNMENT);
            if (value == null) return DEFAULT_ALIGNMENT;
            if (value.type() == GgufValue.Type.UINT32 && value.content() instanceof Long alignment
                    && alignment >= 1 && alignment <= MAXIMUM_ALIGNMENT && Long.bitCount(alignment) == 1) {
                return alignment.intValue();
            }
            throw bad("%s is %s %s; expected UINT32, a power of 2 up to %d"
                    .formatted(ALIGNMENT, value.type(), Failure.quote(value.content().toString()), MAXIMUM_ALIGNMENT));
        }

        /// Checks that each tensor begins where the one before it ends, and cuts up the data.
        private SequencedMap<String, GgufTensor> layOut(SequencedMap<String, Entry> entries) {
            var tensors = new LinkedHashMap<String, GgufTensor>();
            if (entries.isEmpty()) return tensors;
            int alignment = alignment();
            long dataStart = padded(position, alignment);
            long dataBytes = file.byteSize() - dataStart;
            long expected = 0;
            for (Entry entry : entries.values()) {
                String quoted = Failure.quote(entry.name);
                long bytes;
                try {
                    bytes = entry.type.byteSize(entry.shape);
                } catch (IllegalArgumentException e) {
                    throw bad("%s: %s".formatted(quoted, e.getMessage()));
                }
                if (entry.offset != expected) {
                    throw bad("%s begins at %s of the data; expected %d, where the tensor before it ends"
                            .formatted(quoted, Long.toUnsignedString(entry.offset), expected));
                }
                if (bytes > dataBytes - expected) {
                    throw bad("%s ends at byte %d of the data, which has only %d (a broken download?)".formatted(quoted, expected + bytes, Math.max(0, dataBytes)));
                }
                tensors.put(entry.name, new GgufTensor(entry.type, entry.shape, file.asSlice(dataStart + expected, bytes)));
                expected = padded(expected + bytes, alignment);
            }
            return tensors;
        }

        private Failure bad(String message) {
            return Failure.badFile(path + ": " + message);
        }
    }

    /// The next multiple of `alignment`, a power of 2.
    static long padded(long position, int alignment) {
        return position + alignment - 1 & -alignment;
    }
}
