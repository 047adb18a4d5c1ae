# One image for every run mode: `docker run hoadon api`, `… worker invoice-issuance-0`, `… beat`, `… consumer`, `… migrate`.
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
COPY requirements.lock .
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY . .
# Static files are collected and bytecode is compiled here, because the final image's disk is read-only. Compiled
# translations are committed; a test keeps them current. The build needs no secret.
RUN env DATABASE_URL=postgresql://none REDIS_URL=redis://none HOADON_ENV=development \
    /venv/bin/python manage.py collectstatic --no-input --verbosity 0 \
    && /venv/bin/python -m compileall -q /venv /app

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin hoadon \
    && install --directory --owner=hoadon /var/lib/hoadon
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOADON_ENV=production MEDIA_ROOT=/var/lib/hoadon/files
USER 10001:10001
EXPOSE 31140
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "deploy/healthcheck.py"]
ENTRYPOINT ["python", "manage.py", "run"]
CMD ["api"]
