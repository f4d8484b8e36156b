@echo off
rem Starts rqat from an unpacked zip on Windows (not tested by the project). Needs Java 25: JAVA_HOME, or java on the PATH.
setlocal
set "RQAT_HOME=%~dp0"
if not exist "%RQAT_HOME%lib" (
  echo rqat: no lib folder beside rqat.cmd. This script runs an unpacked zip; make one with: mvn -DskipTests package 1>&2
  exit /b 2
)
set "JAVA=java"
if defined JAVA_HOME set "JAVA=%JAVA_HOME%\bin\java.exe"
if not defined OMP_NUM_THREADS set OMP_NUM_THREADS=1
if not defined OPENBLAS_NUM_THREADS set OPENBLAS_NUM_THREADS=1
set OMP_WAIT_POLICY=PASSIVE
"%JAVA%" --enable-native-access=ALL-UNNAMED -XX:+UseSerialGC -Xms64m -Xmn32m -XX:+UseCompactObjectHeaders -Dorg.bytedeco.javacpp.nopointergc=true -Dorg.bytedeco.javacpp.maxPhysicalBytes=0 -cp "%RQAT_HOME%lib\*" rqat.cli.Rqat %*
exit /b %ERRORLEVEL%
