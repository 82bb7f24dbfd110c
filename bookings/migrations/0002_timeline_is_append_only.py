"""The timeline is append-only: the database refuses to change or delete what was written."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION refuse_timeline_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the timeline is append-only';
END $$;
CREATE TRIGGER timeline_is_append_only BEFORE UPDATE OR DELETE ON bookings_timelineentry
    FOR EACH ROW EXECUTE FUNCTION refuse_timeline_change();
"""
BACKWARD = """
DROP TRIGGER timeline_is_append_only ON bookings_timelineentry;
DROP FUNCTION refuse_timeline_change();
"""


class Migration(migrations.Migration):
    dependencies = (("bookings", "0001_initial"),)
    operations = (migrations.RunSQL(FORWARD, BACKWARD),)
