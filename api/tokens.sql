-- name: create
-- A new token; no row when the enterprise is not there.
insert into api_token (enterprise, label, sha256, may_write, expires_at)
select tenant.id, %(label)s, %(sha256)s, %(may_write)s, clock_timestamp() + %(lasts)s::interval
from (select 1) one
left join enterprise tenant on tenant.code = %(enterprise)s
where %(enterprise)s::text is null or tenant.id is not null
returning id;

-- name: list
-- Every token, by number.
select token.id, tenant.code as enterprise, token.label, token.may_write, token.created_at, token.expires_at,
       token.revoked_at
from api_token token
left join enterprise tenant on tenant.id = token.enterprise
order by token.id;

-- name: revoke
-- Ends a token that is in force.
update api_token set revoked_at = clock_timestamp()
where id = %(id)s and revoked_at is null;
