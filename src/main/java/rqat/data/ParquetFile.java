package rqat.data;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;
import java.util.stream.Stream;
import org.duckdb.DuckDBDriver;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;

/// Parquet read by DuckDB, inside this process and without a database file: any encoding and compression, nested columns as JSON. Row groups
/// are read one after the other as rows are asked for.
final class ParquetFile {
    private final Path file;
    private final Connection connection;
    private final PreparedStatement statement;
    private final ResultSet results;
    private long number;

    private ParquetFile(Path file) throws SQLException {
        this.file = file;
        connection = connect();
        try {
            // Rows are wanted in the file's order, one at a time, each as one JSON object.
            statement = connection.prepareStatement("SELECT to_json(t)::VARCHAR FROM read_parquet(?) t");
            statement.setString(1, literal(file));
            results = statement.executeQuery();
        } catch (SQLException e) {
            connection.close();
            throw e;
        }
    }

    static Stream<Row> rows(Path file) {
        if (!Files.isReadable(file)) throw AtomicFiles.failure("read", file, new NoSuchFileException(file.toString()));
        try {
            var parquet = new ParquetFile(file);
            return RowFiles.stream(parquet::next, parquet::close);
        } catch (SQLException e) {
            throw bad(file, e);
        }
    }

    /// A fresh in-memory database that uses one thread and a bounded amount of memory, and never reaches for the network or the disk: extensions
    /// are not fetched, nothing is spilt.
    static Connection connect() throws SQLException {
        var properties = new Properties();
        properties.setProperty(DuckDBDriver.JDBC_STREAM_RESULTS, "true");
        properties.setProperty("threads", "1");
        properties.setProperty("memory_limit", "4GB");
        properties.setProperty("temp_directory", "");
        properties.setProperty("autoinstall_known_extensions", "false");
        properties.setProperty("autoload_known_extensions", "false");
        return new DuckDBDriver().connect("jdbc:duckdb:", properties);
    }

    private @Nullable Row next() {
        try {
            if (!results.next()) return null;
            byte[] json = results.getString(1).getBytes(StandardCharsets.UTF_8);
            return RowFiles.object(file.toString(), ++number, JsonFiles.parse(json, file + ": row " + (number + 1), 1));
        } catch (SQLException e) {
            throw bad(file, e);
        }
    }

    private void close() {
        try {
            results.close();
            statement.close();
            connection.close();
        } catch (SQLException e) {
            throw bad(file, e);
        }
    }

    /// DuckDB takes `*`, `?` and `[` in a path for a pattern.
    private static String literal(Path file) {
        return file.toAbsolutePath().toString().replaceAll("[\\[*?]", "[$0]");
    }

    private static Failure bad(Path file, SQLException e) {
        String message = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
        return Failure.badFile("%s: cannot be read as Parquet: %s. Is the download complete?".formatted(file, Failure.quote(message)), e);
    }
}
