package rqat.data;

import dev.hardwood.HardwoodContext;
import dev.hardwood.InputFile;
import dev.hardwood.metadata.ColumnChunk;
import dev.hardwood.metadata.CompressionCodec;
import dev.hardwood.metadata.FileMetaData;
import dev.hardwood.metadata.LogicalType;
import dev.hardwood.metadata.RowGroup;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.reader.RowReader;
import dev.hardwood.row.PqList;
import dev.hardwood.row.PqMap;
import dev.hardwood.row.StructAccessor;
import dev.hardwood.schema.ColumnSchema;
import dev.hardwood.schema.FileSchema;
import java.io.EOFException;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.temporal.TemporalAccessor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.AtomicFiles;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Parquet read by Hardwood, a page after the other as rows are asked for: every encoding, nested columns as JSON; dates, times and UUIDs as
/// texts, bytes that are UTF-8 as text and others in Base64. A downloaded file may be damaged or made to harm: what its footer says is checked
/// against itself and against the rows that come.
final class ParquetFile implements AutoCloseable {
    private static final Set<CompressionCodec> CODECS =
            Set.of(CompressionCodec.UNCOMPRESSED, CompressionCodec.SNAPPY, CompressionCodec.GZIP, CompressionCodec.ZSTD);

    /// Held, so that it stays off: what Hardwood has to say of a file comes as exceptions too.
    private static final Logger HARDWOOD = Logger.getLogger("dev.hardwood");

    static {
        HARDWOOD.setLevel(Level.OFF);
    }

    private final Path file;
    private final HardwoodContext context = HardwoodContext.create(1);
    private final ParquetFileReader reader;
    private final RowReader rows;
    private final long count;
    private final List<String> unsigned;
    private long number;

    private ParquetFile(Path file) throws IOException {
        this.file = file;
        try {
            reader = ParquetFileReader.open(new Ranges(file), context);
            count = checked(reader.getFileMetaData());
            unsigned = unsigned(reader.getFileSchema());
            rows = reader.rowReader();
        } catch (IOException | RuntimeException | Error e) {
            context.close();
            throw e;
        }
    }

    /// The rows of a file in its order; number, from 1, counts over all row groups.
    static Stream<Row> rows(Path file) {
        if (!Files.isReadable(file)) throw AtomicFiles.failure("read", file, new NoSuchFileException(file.toString()));
        try {
            var parquet = new ParquetFile(file);
            return RowStream.of(parquet::next, parquet::close);
        } catch (Failure e) {
            throw e;
        } catch (IOException | RuntimeException | StackOverflowError | OutOfMemoryError e) {
            throw bad(file, reason(e), e);
        }
    }

    /// How many rows there are; a footer that contradicts itself is refused here, before it sizes anything.
    private long checked(FileMetaData footer) throws IOException {
        long size = Files.size(file);
        long sum = 0;
        if (reader.getFileSchema().getColumnCount() == 0) throw bad(file, "it has no columns", null);
        for (RowGroup group : footer.rowGroups()) {
            sum = Math.addExact(sum, group.numRows());
            if (group.numRows() < 0 || group.columns().size() != reader.getFileSchema().getColumnCount()) throw bad(file, "its row groups are damaged", null);
            for (ColumnChunk column : group.columns()) {
                var data = column.metaData();
                if (data == null) throw bad(file, "its row groups are damaged", null);
                String name = Failure.quote(data.pathInSchema().toString());
                if (!CODECS.contains(data.codec())) {
                    throw Failure.badFile("%s: column %s is compressed with %s; expected one of %s. Write the file anew with one of these"
                            .formatted(file, name, data.codec(), CODECS.stream().map(Enum::name).sorted().toList()));
                }
                if (data.numValues() < group.numRows() || data.totalCompressedSize() < 0 || data.totalCompressedSize() > size
                        || data.dataPageOffset() < 0 || data.dataPageOffset() > size) {
                    throw bad(file, "column %s does not fit in the file or has fewer values than rows".formatted(name), null);
                }
            }
        }
        if (sum != footer.numRows()) throw bad(file, "%,d rows, but %,d in its row groups".formatted(footer.numRows(), sum), null);
        return sum;
    }

    /// Columns whose numbers Hardwood 1.0.1 gives as signed ones of 32 or 64 bits. Inside lists and structs there is no telling which they are.
    private List<String> unsigned(FileSchema schema) {
        var columns = new ArrayList<String>();
        for (ColumnSchema column : schema.getColumns()) {
            if (!(column.logicalType() instanceof LogicalType.IntType type) || type.isSigned() || type.bitWidth() < 32) continue;
            if (column.fieldPath().elements().size() > 1) {
                throw Failure.badFile("%s: column %s holds unsigned numbers of %d bits inside a list or struct; expected signed ones there"
                        .formatted(file, Failure.quote(column.fieldPath().toString()), type.bitWidth()));
            }
            columns.add(column.name());
        }
        return columns;
    }

    private static JsonNode unsigned(JsonNode value) {
        JsonNodeFactory json = JsonNodeFactory.instance;
        if (value.isInt()) return json.numberNode(Integer.toUnsignedLong(value.intValue()));
        if (value.isLong()) return json.numberNode(new BigInteger(Long.toUnsignedString(value.longValue())));
        return value;
    }

    private @Nullable Row next() {
        try {
            boolean more = rows.hasNext();
            if (more != number < count) throw bad(file, "its footer says %,d rows; row %,d is %s".formatted(count, number + 1, more ? "there" : "missing"), null);
            if (!more) return null;
            rows.next();
            number++;
            ObjectNode fields = object(rows);
            for (String name : unsigned) fields.replace(name, unsigned(fields.get(name)));
            return new Row(file.toString(), number, fields);
        } catch (Failure e) {
            throw e;
        } catch (CharacterCodingException e) {
            throw Failure.badFile("%s:%d: not UTF-8; convert the file".formatted(file, number), e);
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
            throw bad(file, "row %,d: %s".formatted(number, reason(e)), e);
        }
    }

    private ObjectNode object(StructAccessor struct) throws CharacterCodingException {
        ObjectNode fields = JsonNodeFactory.instance.objectNode();
        for (int i = 0; i < struct.getFieldCount(); i++) put(fields, struct.getFieldName(i), struct.getValue(i), struct.getRawValue(i));
        return fields;
    }

    private void put(ObjectNode fields, String name, @Nullable Object value, @Nullable Object raw) throws CharacterCodingException {
        if (fields.replace(name, json(value, raw)) != null) throw bad(file, "row %,d: two values are called %s".formatted(number, Failure.quote(name)), null);
    }

    /// @param raw as stored: the bytes of a text
    private JsonNode json(@Nullable Object value, @Nullable Object raw) throws CharacterCodingException {
        JsonNodeFactory json = JsonNodeFactory.instance;
        return switch (value) {
            case null -> json.nullNode();
            case String text -> json.stringNode(raw instanceof byte[] bytes ? utf8(bytes) : text);
            case Boolean flag -> json.booleanNode(flag);
            case Byte number -> json.numberNode(number.intValue());
            case Short number -> json.numberNode(number.intValue());
            case Integer number -> json.numberNode(number);
            case Long number -> json.numberNode(number);
            case Float number -> json.numberNode(number);
            case Double number -> json.numberNode(number);
            case BigDecimal number -> json.numberNode(number);
            case byte[] bytes -> bytes(bytes);
            case TemporalAccessor time -> json.stringNode(time.toString());
            case UUID id -> json.stringNode(id.toString());
            case StructAccessor struct -> object(struct);
            case PqList list -> {
                ArrayNode values = json.arrayNode();
                for (int i = 0; i < list.size(); i++) values.add(json(list.get(i), list.getRaw(i)));
                yield values;
            }
            case PqMap map -> {
                ObjectNode fields = json.objectNode();
                for (PqMap.Entry entry : map.getEntries()) put(fields, String.valueOf(entry.getKey()), entry.getValue(), entry.getRawValue());
                yield fields;
            }
            default -> throw bad(file, "row %,d holds a %s, which nothing here reads".formatted(number, value.getClass().getSimpleName()), null);
        };
    }

    /// Old writers do not say which bytes are texts.
    private static JsonNode bytes(byte[] bytes) {
        try {
            return JsonNodeFactory.instance.stringNode(utf8(bytes));
        } catch (CharacterCodingException e) {
            return JsonNodeFactory.instance.binaryNode(bytes);
        }
    }

    private static String utf8(byte[] bytes) throws CharacterCodingException {
        return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    }

    @Override
    public void close() {
        try (context; reader) {
            rows.close();
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
    }

    /// Reads where Hardwood would map: of a mapped file that somebody shortens meanwhile, the next access ends the whole JVM.
    private static final class Ranges implements InputFile {
        private final Path file;
        private @Nullable FileChannel channel;

        Ranges(Path file) {
            this.file = file;
        }

        @Override
        public void open() throws IOException {
            if (channel == null) channel = FileChannel.open(file);
        }

        @Override
        public ByteBuffer readRange(long offset, int length) throws IOException {
            // Of a page that says it has no bytes, Hardwood 1.0.1 would ask for ever.
            if (offset < 0 || length <= 0 || length > length() - offset) {
                throw new EOFException("%,d bytes wanted at %,d of %,d".formatted(length, offset, length()));
            }
            ByteBuffer bytes = ByteBuffer.allocate(length);
            while (bytes.hasRemaining()) {
                if (channel.read(bytes, offset + bytes.position()) < 0) throw new EOFException("the file became shorter");
            }
            return bytes.flip();
        }

        @Override
        public long length() throws IOException {
            return channel.size();
        }

        @Override
        public String name() {
            return file.getFileName().toString();
        }

        @Override
        public void close() throws IOException {
            if (channel != null) channel.close();
        }
    }

    /// What the first of all causes says: Hardwood decodes on threads of its own and passes failures on.
    private static String reason(Throwable thrown) {
        Throwable first = thrown;
        while (first.getCause() != null) first = first.getCause();
        if (first instanceof OutOfMemoryError) return "a page or row group is larger than the Java heap has room for; write it anew with smaller ones";
        return first.getMessage() == null ? first.toString() : first.getMessage();
    }

    private static Failure bad(Path file, String found, @Nullable Throwable cause) {
        String line = found.lines().findFirst().orElse("");
        return Failure.badFile("%s: cannot be read as Parquet: %s. Is the download complete?".formatted(file, Failure.quote(line)), cause);
    }
}
