# rqat from the zip that `mvn package` made:
#   mvn -DskipTests package && docker build -t rqat .
#   docker run --rm -v "$PWD/runs:/home/rqat/runs" rqat run /opt/rqat/recipes/quickstart.yaml
# Not built by the project's tests.
FROM eclipse-temurin:25-jdk AS unpacked
COPY target/rqat-*-linux-x86_64.zip /tmp/rqat.zip
RUN cd /opt && jar xf /tmp/rqat.zip && mv rqat-* rqat && chmod +x rqat/rqat

FROM eclipse-temurin:25-jre
COPY --from=unpacked /opt/rqat /opt/rqat
RUN useradd --create-home rqat
USER rqat
WORKDIR /home/rqat
# libtorch is unpacked here once; keep it by mounting a volume.
VOLUME /home/rqat/.javacpp
ENTRYPOINT ["/opt/rqat/rqat"]
CMD ["--help"]
