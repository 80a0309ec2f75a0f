# shellcheck shell=bash
# MariaDB for Icinga Web 2 and the Director: no port, only a socket.

DATABASE_SOCKET=$LAB_DIR/run/database/mariadb.sock
# An account that exists everywhere; PHP runs as the same.
DATABASE_OS_USER=www-data

database_up() {
	process_alive database && is_done database && return
	database_files
	database_start
	is_done database || database_accounts
}

database_files() {
	local folder=$LAB_DIR/database
	if [ ! -d "$folder" ]; then
		rm -rf "$folder.new"
		install -d -m 0700 -o "$DATABASE_OS_USER" -g "$DATABASE_OS_USER" "$folder.new"
		mariadb-install-db --no-defaults --datadir="$folder.new" --user="$DATABASE_OS_USER" \
			--auth-root-authentication-method=socket --skip-test-db --skip-name-resolve --force \
			</dev/null >>"$LAB_DIR/log/database.out" 2>&1
		mv "$folder.new" "$folder"
	fi
}

database_start() {
	process_alive database && return
	install -d -m 0755 -o "$DATABASE_OS_USER" -g "$DATABASE_OS_USER" "$LAB_DIR/run/database"
	start_process database mariadbd --no-defaults \
		--user="$DATABASE_OS_USER" --datadir="$LAB_DIR/database" \
		--socket="$DATABASE_SOCKET" --pid-file="$LAB_DIR/run/database/pid" \
		--skip-networking --skip-name-resolve --skip-log-bin \
		--innodb-buffer-pool-size=64M --innodb-log-file-size=16M \
		--innodb-flush-log-at-trx-commit=2 --performance-schema=OFF
	wait_until database 30 sql_root -e 'SELECT 1'
}

# shellcheck disable=SC2120 # the arguments are optional
sql_root() { mariadb --no-defaults --socket="$DATABASE_SOCKET" --user=root "$@"; }

# Whatever a killed `up` left half done is made anew.
database_accounts() {
	{
		cat <<-SQL
			DROP DATABASE IF EXISTS icingaweb;
			DROP DATABASE IF EXISTS director;
			CREATE DATABASE icingaweb CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
			CREATE DATABASE director CHARACTER SET utf8;
			CREATE OR REPLACE USER lab@localhost IDENTIFIED BY '$LAB_DATABASE_PASSWORD';
			GRANT ALL ON icingaweb.* TO lab@localhost;
			GRANT ALL ON director.* TO lab@localhost;
			USE icingaweb;
		SQL
		cat /usr/share/icingaweb2/schema/mysql.schema.sql
		web_account "$LAB_WEB_USER" "$LAB_WEB_PASSWORD"
		web_account "$LAB_CONTROLLER_USER" "$LAB_CONTROLLER_PASSWORD"
	} | sql_root
	rm -f "$LAB_DIR"/done/director-*
	mark_done database
}

web_account() {
	local hash
	# shellcheck disable=SC2016 # PHP's variables
	hash=$(php -r 'echo password_hash(trim(fgets(STDIN)), PASSWORD_DEFAULT);' <<<"$2")
	echo "INSERT INTO icingaweb_user (name, active, password_hash) VALUES ('$1', 1, '$hash');"
}
