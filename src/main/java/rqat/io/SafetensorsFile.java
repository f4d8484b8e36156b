package rqat.io;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;

/// A safetensors file, mapped: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes
/// (https://huggingface.co/docs/safetensors). Nothing is copied; a tensor's pages are read when it is touched.
///
/// The whole header is checked on opening, at least as strictly as the reference implementation: the tensors tile the data section
/// without hole, overlap or remainder, every size equals shape times type, no name occurs twice, unknown types and unknown fields are
/// refused. After [#close()] every tensor of the file throws on access; native views on its memory must be gone by then.
public final class SafetensorsFile implements AutoCloseable {

    /// The reference implementation's bound on the JSON header.
    static final long MAXIMUM_HEADER_BYTES = 100_000_000;

    private static final String METADATA = "__metadata__";
    private static final JsonFactory JSON = JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

    private final Path path;
    private final Arena arena;
    private final Map<String, HostTensor> tensors;
    private final Map<String, String> metadata;

    private SafetensorsFile(Path path, Arena arena, Map<String, HostTensor> tensors, Map<String, String> metadata) {
        this.path = path;
        this.arena = arena;
        this.tensors = Collections.unmodifiableMap(tensors);
        this.metadata = Collections.unmodifiableMap(metadata);
    }

    /// Maps and checks a file.
    ///
    /// @throws Failure of kind BAD_FILE naming the file, the tensor, what was found and what was expected
    public static SafetensorsFile open(Path path) {
        return MappedFile.open(path, "safetensors", (file, arena) -> new Reader(path, file).read(arena));
    }

    /// The file.
    public Path path() {
        return path;
    }

    /// All tensors by name, in the order of their bytes in the file.
    public Map<String, HostTensor> tensors() {
        return tensors;
    }

    /// The header's `__metadata__`, empty if there is none.
    public Map<String, String> metadata() {
        return metadata;
    }

    @Override
    public void close() {
        arena.close();
    }

    /// A header entry before its offsets have been checked against the others.
    private record Entry(String name, DataType type, long[] shape, long begin, long end) {}

    /// One pass over the header, token by token, so that memory stays proportional to the header.
    private static final class Reader {
        private final Path path;
        private final MemorySegment file;
        private final Map<String, String> metadata = new LinkedHashMap<>();
        private final List<Entry> entries = new ArrayList<>();

        Reader(Path path, MemorySegment file) {
            this.path = path;
            this.file = file;
        }

        SafetensorsFile read(Arena arena) {
            long headerBytes = headerBytes();
            byte[] header = file.asSlice(8, headerBytes).toArray(ValueLayout.JAVA_BYTE);
            if (header.length == 0 || header[0] != '{') {
                throw bad("the header does not begin with `{`; expected a JSON object");
            }
            try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), header)) {
                parser.nextToken();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    readMember(parser);
                }
                if (parser.nextToken() != null) {
                    throw bad("the header goes on after its JSON object ended; expected nothing but spaces");
                }
            } catch (JacksonException e) {
                String place = e.getLocation() == null ? "" : " at byte " + (8 + e.getLocation().getByteOffset());
                throw Failure.badFile("%s: the header is not valid JSON%s: %s"
                        .formatted(path, place, Failure.quote(e.getOriginalMessage())), e);
            }
            return new SafetensorsFile(path, arena, layOut(8 + headerBytes), metadata);
        }

        private long headerBytes() {
            if (file.byteSize() < 8) {
                throw bad("the file has %d bytes; expected at least the 8 bytes of the header length".formatted(file.byteSize()));
            }
            long length = file.get(ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0);
            if (length < 0 || length > MAXIMUM_HEADER_BYTES || length > file.byteSize() - 8) {
                byte[] start = file.asSlice(0, Math.min(file.byteSize(), 8)).toArray(ValueLayout.JAVA_BYTE);
                if (new String(start, StandardCharsets.ISO_8859_1).startsWith("version ")) {
                    throw bad("this is a Git LFS pointer, not the file itself; run `git lfs pull` or download it again");
                }
                throw bad("the header length is %s bytes; expected at most %d and inside the file of %d bytes (a broken download, or no safetensors file)"
                        .formatted(Long.toUnsignedString(length), MAXIMUM_HEADER_BYTES, file.byteSize()));
            }
            return length;
        }

        private void readMember(JsonParser parser) {
            String name = parser.currentName();
            parser.nextToken();
            if (name.equals(METADATA)) {
                readMetadata(parser);
            } else {
                entries.add(readEntry(parser, name));
            }
        }

        private void readMetadata(JsonParser parser) {
            // The reference implementation reads null as none.
            if (parser.currentToken() == JsonToken.VALUE_NULL) return;
            require(parser, JsonToken.START_OBJECT, METADATA, "an object of strings");
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String key = parser.currentName();
                parser.nextToken();
                require(parser, JsonToken.VALUE_STRING, METADATA, "a string as the value of " + Failure.quote(key));
                String value = parser.getString();
                if (!StandardCharsets.UTF_8.newEncoder().canEncode(value)) {
                    // JSON can escape half a surrogate pair, which no UTF-8 file could hold again.
                    throw bad(METADATA, "the value of %s is half a surrogate pair; expected Unicode text".formatted(Failure.quote(key)));
                }
                metadata.put(key, value);
            }
        }

        private Entry readEntry(JsonParser parser, String name) {
            require(parser, JsonToken.START_OBJECT, name, "an object with dtype, shape and data_offsets");
            DataType type = null;
            long[] shape = null;
            long[] offsets = null;
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "dtype" -> type = readType(parser, name);
                    case "shape" -> shape = readNumbers(parser, name, "shape");
                    case "data_offsets" -> offsets = readNumbers(parser, name, "data_offsets");
                    default -> throw bad(name, "unknown field " + Failure.quote(field) + "; expected dtype, shape and data_offsets");
                }
            }
            if (type == null || shape == null || offsets == null) {
                throw bad(name, "no %s; expected dtype, shape and data_offsets"
                        .formatted(type == null ? "dtype" : shape == null ? "shape" : "data_offsets"));
            }
            return checked(name, type, shape, offsets);
        }

        private Entry checked(String name, DataType type, long[] shape, long[] offsets) {
            if (offsets.length != 2 || offsets[0] > offsets[1]) {
                throw bad(name, "data_offsets are %s; expected [begin, end]".formatted(HostTensor.describe(offsets)));
            }
            long expected;
            try {
                expected = HostTensor.byteSize(type, shape);
            } catch (IllegalArgumentException e) {
                throw bad(name, String.valueOf(e.getMessage()));
            }
            if (offsets[1] - offsets[0] != expected) {
                throw bad(name, "data_offsets %s hold %d bytes; expected %d for %s %s"
                        .formatted(Arrays.toString(offsets), offsets[1] - offsets[0], expected, type, HostTensor.describe(shape)));
            }
            return new Entry(name, type, shape, offsets[0], offsets[1]);
        }

        private DataType readType(JsonParser parser, String name) {
            require(parser, JsonToken.VALUE_STRING, name, "a string as dtype");
            String found = parser.getString();
            return DataType.named(found).orElseThrow(
                    () -> bad(name, "dtype %s is not supported; expected one of %s%s".formatted(Failure.quote(found), Arrays.toString(DataType.values()),
                            found.matches("F[468]_.*") ? " (an already quantised checkpoint? take the model that it was made from)" : "")));
        }

        private long[] readNumbers(JsonParser parser, String name, String field) {
            require(parser, JsonToken.START_ARRAY, name, "an array of integers as " + field);
            long[] numbers = new long[4];
            int count = 0;
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                require(parser, JsonToken.VALUE_NUMBER_INT, name, "integers in " + field);
                if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER || parser.getLongValue() < 0) {
                    throw bad(name, "%s holds %s; expected integers from 0 to 2^63-1".formatted(field, Failure.quote(parser.getString())));
                }
                if (count == numbers.length) {
                    numbers = Arrays.copyOf(numbers, 2 * count);
                }
                numbers[count++] = parser.getLongValue();
            }
            return Arrays.copyOf(numbers, count);
        }

        /// Checks that the tensors tile the data section, and cuts it up.
        private Map<String, HostTensor> layOut(long dataStart) {
            long dataBytes = file.byteSize() - dataStart;
            entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
            Map<String, HostTensor> tensors = new LinkedHashMap<>();
            long position = 0;
            for (Entry entry : entries) {
                if (entry.begin != position) {
                    throw bad(entry.name, "its bytes begin at %d; expected %d, where the tensor before it ends"
                            .formatted(entry.begin, position));
                }
                if (entry.end > dataBytes) {
                    throw bad(entry.name, "its bytes end at %d of the data section, which has only %d (a broken download?)"
                            .formatted(entry.end, dataBytes));
                }
                tensors.put(entry.name, new HostTensor(entry.type, entry.shape,
                        file.asSlice(dataStart + entry.begin, entry.end - entry.begin)));
                position = entry.end;
            }
            if (position != dataBytes) {
                throw bad("%d bytes follow the last tensor; expected none".formatted(dataBytes - position));
            }
            return tensors;
        }

        private void require(JsonParser parser, JsonToken expected, String where, String description) {
            if (parser.currentToken() != expected) {
                throw bad(where, "found %s; expected %s".formatted(describe(parser.currentToken()), description));
            }
        }

        private static String describe(@Nullable JsonToken token) {
            return switch (token) {
                case null -> "the end of the header";
                case START_OBJECT -> "an object";
                case START_ARRAY -> "an array";
                case VALUE_STRING -> "a string";
                case VALUE_NUMBER_INT -> "an integer";
                case VALUE_NUMBER_FLOAT -> "a number that is no integer";
                case VALUE_TRUE, VALUE_FALSE -> "a boolean";
                case VALUE_NULL -> "null";
                default -> token.name();
            };
        }

        private Failure bad(String message) {
            return Failure.badFile(path + ": " + message);
        }

        private Failure bad(String tensor, String message) {
            return Failure.badFile("%s: %s: %s".formatted(path, Failure.quote(tensor), message));
        }
    }
}
