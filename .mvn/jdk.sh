# Sourced by ./rqat, ./test and bench/run: find_jdk sets JAVA_HOME to a JDK 25 or newer, find_java java to any Java of that age; maven runs Maven
# on the project in $home with it.

java_version() { # prints the major version of the Java in $1 that has the program $2, nothing if there is none
    [ -x "$1/bin/$2" ] && [ -r "$1/release" ] && sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release"
}

find_jdk() {
    find_java javac
}

find_java() {
    on_path=$(command -v "$1" 2>/dev/null) && on_path=$(dirname "$(dirname "$(readlink -f "$on_path")")")
    seen=""
    for candidate in "${JAVA_HOME:-}" "$on_path" /usr/lib/jvm/* /usr/java/* /opt/*jdk* /opt/java/* \
        /Library/Java/JavaVirtualMachines/*/Contents/Home "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/*; do
        [ -n "$candidate" ] || continue
        version=$(java_version "$candidate" "$1") || continue
        [ -n "$version" ] || continue
        seen="$seen $candidate($version)"
        if [ "$version" -ge 25 ]; then
            JAVA_HOME=$candidate
            export JAVA_HOME
            return 0
        fi
    done
    echo "rqat: no JDK 25 found. Looked at JAVA_HOME, the PATH, /usr/lib/jvm, /opt, ~/.sdkman and ~/.jdks;" >&2
    echo "      found:${seen:- none}. Install a JDK 25 (for example Temurin) or set JAVA_HOME to one." >&2
    exit 2
}

maven() {
    if ! command -v mvn >/dev/null 2>&1; then
        echo "rqat: Maven is needed to build; install it (for example: apt-get install maven) or put mvn on the PATH." >&2
        exit 2
    fi
    # Without these two flags Maven 3.8 prints warnings about its own libraries on JDK 25.
    MAVEN_OPTS="--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow ${MAVEN_OPTS:-}" mvn -B -Dstyle.color=never -f "$home/pom.xml" "$@"
}
