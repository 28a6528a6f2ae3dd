import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.Node;

/**
 * Starts one node from the server's jar: what the distribution does, without its checks of the machine (root, limits),
 * its security manager and its command line. Arguments: the home folder, the configuration folder.
 */
public final class Launcher {
    private Launcher() {}

    public static void main(String[] args) throws Exception {
        Path configuration = Path.of(args[1]);
        LogConfigurator.configureESLogging();
        Settings settings = Settings.builder()
            .loadFromPath(configuration.resolve("elasticsearch.yml"))
            .put("path.home", args[0])
            .build();
        Environment environment = new Environment(settings, configuration);
        LogConfigurator.setNodeName(settings.get("node.name"));
        LogConfigurator.configure(environment, true);
        CountDownLatch ended = new CountDownLatch(1);
        try {
            Node node = new Node(environment);
            Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, ended)));
            node.start();
        } catch (Throwable problem) {
            problem.printStackTrace();
            Runtime.getRuntime().halt(1); // threads of a half-made node would keep the process alive
        }
        ended.await();
    }

    private static void close(Node node, CountDownLatch ended) {
        try {
            node.close();
            node.awaitClose(10, TimeUnit.SECONDS);
        } catch (Exception problem) {
            problem.printStackTrace();
        } finally {
            ended.countDown();
        }
    }
}
